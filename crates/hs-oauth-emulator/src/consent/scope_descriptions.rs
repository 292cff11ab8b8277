//! Describes for the user what a scope lets an app do.

/// Returns a short description, such as `See contacts`. Single scopes are in a table, and families of scopes are
/// described by rules. Any other scope is called a permission with a name of its own.
pub(super) fn describe(scope: &str) -> String {
    if let Some((_, description)) = DESCRIPTIONS.iter().find(|(name, _)| *name == scope) {
        return (*description).to_owned();
    }
    let scope = without_version(scope);
    let (what, verb) = match scope.rsplit_once('.') {
        Some((what, "read")) => (what, "See"),
        Some((what, "write")) => (what, "Create, change and delete"),
        Some((what, "read_write" | "read-write" | "access")) => (what, "See, create, change and delete"),
        Some((what, "delete")) => (what, "Delete"),
        Some((what, "create")) => (what, "Create"),
        Some((what, "send")) => (what, "Send"),
        _ => return "A permission with a name of its own".to_owned(),
    };
    let (what, kind) =
        [(".highly_sensitive", "highly sensitive data of "), (".sensitive", "sensitive data of ")]
            .iter()
            .find_map(|(suffix, kind)| Some((what.strip_suffix(suffix)?, *kind)))
            .unwrap_or((what, ""));
    let objects = |name: &str| object_words(name.strip_prefix("v2.").unwrap_or(name));
    match what.split_once('.') {
        Some(("crm", rest)) => match rest.split_once('.') {
            Some(("objects", object)) => format!("{verb} {kind}{}", objects(object)),
            Some(("schemas", object)) => {
                format!("{verb} {kind}properties and settings of {}", objects(object))
            }
            Some(("pipelines", object)) => format!("{verb} {kind}pipelines of {}", objects(object)),
            Some((area, object)) => format!("{verb} {kind}{} of {}", words(area), objects(object)),
            None => format!("{verb} {kind}{} in the CRM", words(rest)),
        },
        _ => format!("{verb} {kind}{}", words(what)),
    }
}

/// Returns a scope without the version at its end, such as `.v2`.
fn without_version(scope: &str) -> &str {
    let is_version = |end: &str| {
        end.strip_prefix('v')
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    scope.rsplit_once('.').filter(|(_, end)| is_version(end)).map_or(scope, |(start, _)| start)
}

/// Returns how sensitive the data is that a scope opens: `Sensitive` or `Highly sensitive`. `None` for all other data.
pub(super) fn sensitivity(scope: &str) -> Option<&'static str> {
    let has = |part: &str| scope.split('.').any(|segment| segment == part);
    match (has("highly_sensitive"), has("sensitive")) {
        (true, _) => Some("Highly sensitive"),
        (false, true) => Some("Sensitive"),
        (false, false) => None,
    }
}

/// Returns the object that a scope is about, in words, such as `Contacts`. Scopes with the same one belong together.
pub(super) fn object(scope: &str) -> String {
    let mut segments = scope.split('.').filter(|segment| *segment != "v2");
    let name = match (segments.next().unwrap_or(""), segments.next(), segments.next()) {
        ("oauth" | "openid" | "email" | "profile", None, _) => "account",
        ("crm", Some("objects" | "schemas" | "pipelines"), Some(object)) => object,
        ("crm", Some(area), _) => area,
        (area, _, _) => area,
    };
    let words = object_words(name);
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn words(name: &str) -> String {
    name.replace(['.', '_', '-'], " ")
}

/// Returns an object's name in words and in the plural. HubSpot's own name is in the plural for most objects.
fn object_words(name: &str) -> String {
    match name {
        "custom" => "custom objects".to_owned(),
        "line_items" => "line items".to_owned(),
        _ => words(name),
    }
}

const DESCRIPTIONS: &[(&str, &str)] = &[
    ("oauth", "Connect to this account; every app asks for this"),
    ("openid", "Know who you are when you sign in with HubSpot"),
    ("email", "See your e-mail address"),
    ("profile", "See your name and picture"),
    ("account-info.security.read", "See sign-in and security activity of the account"),
    ("accounting", "Exchange invoices and payments with accounting software"),
    ("actions", "Add its own actions to workflows"),
    ("analytics.behavioral_events.send", "Send events about what visitors do"),
    ("automation", "See, create, change and start workflows"),
    ("automation.sequences.enrollments.write", "Put contacts into sales sequences"),
    ("automation.sequences.read", "See sales sequences"),
    ("business-intelligence", "See analytics of traffic, sources and campaigns"),
    ("business_units_view.read", "See business units and their logos"),
    ("communication_preferences.read", "See who subscribed to which e-mails"),
    ("communication_preferences.read_write", "See and change who subscribes to which e-mails"),
    ("communication_preferences.write", "Change who subscribes to which e-mails"),
    ("content", "See and change websites, landing pages, blogs and e-mails"),
    ("conversations.custom_channels.read", "See messages of its own channels in the inbox"),
    ("conversations.custom_channels.write", "Send messages through its own channels in the inbox"),
    ("conversations.read", "See conversations in the inbox"),
    ("conversations.visitor_identification.tokens.create", "Tell the chat widget who a visitor is"),
    ("conversations.write", "Send messages and change conversations in the inbox"),
    ("crm.export", "Export records from the CRM"),
    ("crm.import", "Import records into the CRM"),
    ("crm.lists.read", "See lists and who is in them"),
    ("crm.lists.write", "Create, change and delete lists"),
    ("ctas.read", "See calls to action"),
    ("developer.webhooks_journal.read", "Read the journal of its own webhooks"),
    ("e-commerce", "See, create, change and delete products and line items"),
    ("external_integrations.forms.access", "See and rename forms from other tools"),
    ("files", "See, upload, change and delete files"),
    ("files.ui_hidden.read", "See files that HubSpot itself does not show"),
    ("forms", "See, create, change and delete forms"),
    ("forms-uploaded-files", "Download files that were uploaded through forms"),
    ("hubdb", "See, create, change and delete HubDB tables"),
    ("integration-sync", "Keep objects in step with another system"),
    ("marketing-email", "Send marketing e-mails and see how they do"),
    ("media_bridge.read", "See media, and how often it is played"),
    ("media_bridge.write", "Publish media, and say how often it is played"),
    ("reports", "See reports and dashboards"),
    ("sales-email-read", "Read one-to-one e-mails to contacts"),
    ("scheduler.meetings.meeting-link.read", "See meeting links"),
    ("social", "See, create and publish social media posts"),
    ("tickets", "See, create, change and delete tickets"),
    ("tickets.highly_sensitive", "See highly sensitive data of tickets"),
    ("tickets.sensitive", "See sensitive data of tickets"),
    ("timeline", "Add events to the timelines of records"),
    ("transactional-email", "Send transactional e-mails"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_of_one_object_belong_together_and_sensitive_ones_are_known() {
        for (scope, expected, mark) in [
            ("crm.objects.contacts.read", "Contacts", None),
            ("crm.schemas.contacts.write", "Contacts", None),
            ("crm.objects.contacts.sensitive.read", "Contacts", Some("Sensitive")),
            ("crm.objects.contacts.highly_sensitive.read.v2", "Contacts", Some("Highly sensitive")),
            ("crm.objects.line_items.read", "Line items", None),
            ("crm.objects.custom.read", "Custom objects", None),
            ("crm.lists.read", "Lists", None),
            ("tickets.highly_sensitive", "Tickets", Some("Highly sensitive")),
            ("tickets", "Tickets", None),
            ("oauth", "Account", None),
            ("forms-uploaded-files", "Forms uploaded files", None),
            ("insensitive", "Insensitive", None),
        ] {
            assert_eq!((object(scope).as_str(), sensitivity(scope)), (expected, mark), "{scope}");
        }
    }

    #[test]
    fn families_of_scopes_are_described_by_rules() {
        for (scope, expected) in [
            ("crm.objects.contacts.read", "See contacts"),
            ("crm.objects.line_items.write", "Create, change and delete line items"),
            ("crm.objects.custom.read", "See custom objects"),
            ("crm.objects.contacts.highly_sensitive.read.v2", "See highly sensitive data of contacts"),
            (
                "crm.objects.deals.highly_sensitive.write.v2",
                "Create, change and delete highly sensitive data of deals",
            ),
            ("crm.objects.deals.sensitive.read", "See sensitive data of deals"),
            ("crm.schemas.companies.write", "Create, change and delete properties and settings of companies"),
            ("crm.pipelines.orders.read", "See pipelines of orders"),
            ("crm.dealsplits.read_write", "See, create, change and delete dealsplits in the CRM"),
            ("settings.users.read", "See settings users"),
            ("cms.knowledge_base.articles.write", "Create, change and delete cms knowledge base articles"),
            ("something", "A permission with a name of its own"),
            ("oauth", "Connect to this account; every app asks for this"),
        ] {
            assert_eq!(describe(scope), expected, "{scope}");
        }
    }
}
