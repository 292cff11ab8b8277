//! Which scopes a request to the CRM API needs (HubSpot's documentation of each API).

use http::Method;

/// Returns the scopes of which a request needs one. Where none is known, any access token will do.
pub(super) fn sufficient_scopes(method: &Method, path: &str) -> Vec<String> {
    let mut segments: Vec<_> = path.split('/').filter(|segment| !segment.is_empty()).skip(1).collect();
    // The version is the first of them, or in dated versions the second.
    if let Some(version) = segments.iter().take(2).position(|segment| is_version(segment)) {
        segments.remove(version);
    }
    let access = if is_read(method, &segments) { "read" } else { "write" };
    match segments.as_slice() {
        ["objects" | "associations", object, ..] => of_objects(object, access),
        ["properties" | "pipelines", object, ..] => {
            let mut scopes = of_objects(object, access);
            if let Some(name) = standard_name(object).or(custom_name(object)) {
                scopes.insert(0, format!("crm.schemas.{name}.{access}"));
            }
            scopes
        }
        ["schemas", ..] => vec![format!("crm.schemas.custom.{access}")],
        ["owners", ..] => vec!["crm.objects.owners.read".to_owned()],
        ["lists", ..] => vec![format!("crm.lists.{access}")],
        ["imports", ..] => vec!["crm.import".to_owned()],
        ["exports", ..] => vec!["crm.export".to_owned()],
        ["timeline", ..] => vec!["timeline".to_owned()],
        _ => Vec::new(),
    }
}

/// Returns whether a segment is a version: `v3`, `2026-09` or `2026-09-beta`.
fn is_version(segment: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let date = segment.strip_suffix("-beta").unwrap_or(segment);
    let is_dated = date.split_once('-').is_some_and(|(year, month)| {
        (year.len(), month.len()) == (4, 2) && is_number(year) && is_number(month)
    });
    is_dated || segment.strip_prefix('v').is_some_and(is_number)
}

/// Searches and batches of reads are sent with `POST`.
fn is_read(method: &Method, segments: &[&str]) -> bool {
    match *method {
        Method::GET | Method::HEAD => true,
        Method::POST => matches!(segments, [.., "search"] | [.., "batch", "read"]),
        _ => false,
    }
}

fn of_objects(object: &str, access: &str) -> Vec<String> {
    let of = |name: &str| format!("crm.objects.{name}.{access}");
    match standard_name(object) {
        Some("tickets") => vec!["tickets".to_owned()],
        Some(name @ ("products" | "line_items")) => vec![of(name), "e-commerce".to_owned()],
        Some(name) => vec![of(name)],
        None => vec![of(custom_name(object).unwrap_or("custom"))],
    }
}

/// Returns the name that the scopes of HubSpot's own objects have. What people do with a contact has those of contacts.
fn standard_name(object: &str) -> Option<&'static str> {
    Some(match object {
        "0-1" | "contact" | "contacts" => "contacts",
        "0-2" | "company" | "companies" => "companies",
        "0-3" | "deal" | "deals" => "deals",
        "0-5" | "ticket" | "tickets" => "tickets",
        "0-7" | "product" | "products" => "products",
        "0-8" | "line_item" | "line_items" => "line_items",
        "0-14" | "quote" | "quotes" => "quotes",
        "calls" | "communications" | "emails" | "meetings" | "notes" | "postal_mail" | "tasks" => "contacts",
        _ => return None,
    })
}

/// Returns the name in the scopes of any other object. Objects of an account's own are known by a number or a prefix.
fn custom_name(object: &str) -> Option<&str> {
    let is_own = object.starts_with("2-") || object.starts_with("p_") || object.starts_with("p-");
    let is_name = object.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    Some(object).filter(|_| is_name && !is_own)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// HubSpot's documentation of the CRM APIs.
    #[test]
    fn each_api_needs_the_scope_that_hubspot_names() {
        for (method, path, scopes) in [
            ("GET", "/crm/v3/objects/contacts", "crm.objects.contacts.read"),
            ("GET", "/crm/v3/objects/0-2/1", "crm.objects.companies.read"),
            ("GET", "/crm/objects/2026-09/deals", "crm.objects.deals.read"),
            ("GET", "/crm/objects/2026-03-beta/deals", "crm.objects.deals.read"),
            ("POST", "/crm/v3/objects/deals", "crm.objects.deals.write"),
            ("PATCH", "/crm/v3/objects/deals/1", "crm.objects.deals.write"),
            ("DELETE", "/crm/v3/objects/deals/1", "crm.objects.deals.write"),
            ("POST", "/crm/v3/objects/deals/search", "crm.objects.deals.read"),
            ("POST", "/crm/v3/objects/deals/batch/read", "crm.objects.deals.read"),
            ("POST", "/crm/v3/objects/deals/batch/create", "crm.objects.deals.write"),
            ("PUT", "/crm/v4/objects/contacts/1/associations/deals/2", "crm.objects.contacts.write"),
            ("POST", "/crm/v4/associations/companies/deals/batch/read", "crm.objects.companies.read"),
            ("GET", "/crm/v3/objects/tickets", "tickets"),
            ("GET", "/crm/v3/objects/products", "crm.objects.products.read e-commerce"),
            ("GET", "/crm/v3/objects/notes", "crm.objects.contacts.read"),
            ("GET", "/crm/v3/objects/2-12345/1", "crm.objects.custom.read"),
            ("GET", "/crm/v3/objects/p_cars", "crm.objects.custom.read"),
            ("GET", "/crm/v3/objects/%22", "crm.objects.custom.read"),
            ("GET", "/crm/v3/objects/invoices", "crm.objects.invoices.read"),
            ("GET", "/crm/v3/properties/contacts", "crm.schemas.contacts.read crm.objects.contacts.read"),
            ("POST", "/crm/v3/pipelines/deals", "crm.schemas.deals.write crm.objects.deals.write"),
            ("GET", "/crm/v3/schemas", "crm.schemas.custom.read"),
            ("GET", "/crm/v3/owners/1", "crm.objects.owners.read"),
            ("POST", "/crm/v3/lists/", "crm.lists.write"),
            ("POST", "/crm/v3/imports", "crm.import"),
            ("POST", "/crm/v3/exports/export/async", "crm.export"),
            ("GET", "/crm/v3/objects", ""),
            ("GET", "/crm/v3/limits/records", ""),
            ("GET", "/crm/", ""),
        ] {
            let found = sufficient_scopes(&method.parse().unwrap(), path).join(" ");
            assert_eq!(found, scopes, "{method} {path}");
        }
    }
}
