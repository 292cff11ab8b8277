//! The scopes that are registered for the app, and how an authorization request can disagree with them.

use hs_oauth_core::Scopes;
use serde::Serialize;

/// The scopes that are registered for the app, each as one of three kinds (HubSpot's documentation, "Scopes").
///
/// An authorization request that does not agree with them never gets to the app: the person sees a page that names the scopes.
/// HubSpot registers `oauth` as a required scope of every app, and so does this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RegisteredScopes {
    required: Scopes,
    #[serde(rename = "conditional")]
    conditionally_required: Scopes,
    optional: Scopes,
}

impl RegisteredScopes {
    /// Returns these scopes. `oauth` is added to the required ones.
    ///
    /// - A **required** scope must be in `scope` of every request.
    /// - A **conditionally required** one may be in `scope`. The account must be able to grant it then.
    /// - An **optional** one may be in `optional_scope`. It is left out of the grant if the account cannot grant it.
    ///
    /// ```
    /// use hs_oauth_emulator::RegisteredScopes;
    ///
    /// let scopes = RegisteredScopes::new("crm.objects.contacts.read".parse()?, "automation".parse()?, "tickets".parse()?)?;
    /// assert!(scopes.required().contains("oauth"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A message that names the scope, if a scope is of more than one kind.
    pub fn new(required: Scopes, conditionally_required: Scopes, optional: Scopes) -> Result<Self, String> {
        let mut all = Scopes::from_names(["oauth"]).map_err(|error| error.to_string())?;
        all.extend(required);
        let registered = Self { required: all, conditionally_required, optional };
        for scope in registered.conditionally_required.iter().chain(&registered.optional) {
            let kinds = [&registered.required, &registered.conditionally_required, &registered.optional];
            if kinds.iter().filter(|kind| kind.contains(scope.as_str())).count() > 1 {
                return Err(format!("`{scope}` is registered as more than one kind of scope"));
            }
        }
        Ok(registered)
    }

    /// Returns the scopes that every request must have in `scope`.
    pub fn required(&self) -> &Scopes {
        &self.required
    }

    /// Returns the scopes that a request may have in `scope`.
    pub fn conditionally_required(&self) -> &Scopes {
        &self.conditionally_required
    }

    /// Returns the scopes that a request may have in `optional_scope`.
    pub fn optional(&self) -> &Scopes {
        &self.optional
    }

    /// Compares the names in `scope` and in `optional_scope` with the registered scopes. A name in `optional_scope` that is in
    /// `scope` too does not count.
    ///
    /// HubSpot's help page "Resolve a 'Request for Integration Permissions' error" says for each mistake which page the person sees.
    pub(crate) fn check(&self, scope: &[String], optional_scope: &[String]) -> Result<(), ScopeMismatch> {
        let has = |names: &[String], scope: &str| names.iter().any(|name| name == scope);
        let mut mismatch = ScopeMismatch::default();
        for required in &self.required {
            if !has(scope, required.as_str()) {
                push_once(&mut mismatch.missing, required.as_str());
            }
        }
        for name in scope {
            if self.optional.contains(name) {
                push_once(&mut mismatch.not_in_optional_scope, name);
            } else if !self.required.contains(name) && !self.conditionally_required.contains(name) {
                push_once(&mut mismatch.unregistered, name);
            }
        }
        for name in optional_scope.iter().filter(|name| !has(scope, name)) {
            if self.conditionally_required.contains(name) {
                push_once(&mut mismatch.not_in_scope, name);
            } else if !self.required.contains(name) && !self.optional.contains(name) {
                push_once(&mut mismatch.unregistered, name);
            }
        }
        match mismatch == ScopeMismatch::default() {
            true => Ok(()),
            false => Err(mismatch),
        }
    }
}

/// Checks the names of an app that has registered no scopes. It can ask for any; but no scope has a comma, so a name with one is a list that was
/// not written as HubSpot reads it.
pub(crate) fn check_unregistered(scope: &[String], optional_scope: &[String]) -> Result<(), ScopeMismatch> {
    let mut mismatch = ScopeMismatch::default();
    for name in scope.iter().chain(optional_scope).filter(|name| name.contains(',')) {
        push_once(&mut mismatch.unregistered, name);
    }
    match mismatch.unregistered.is_empty() {
        true => Ok(()),
        false => Err(mismatch),
    }
}

/// Adds a name, unless it is in the list already or the list is longer than a page can show.
fn push_once(names: &mut Vec<String>, name: &str) {
    if names.len() < MAX_SHOWN && !names.iter().any(|other| other == name) {
        names.push(name.to_owned());
    }
}

/// The number of scopes of one kind that a page shows.
const MAX_SHOWN: usize = 100;

/// The scopes by which an authorization request disagrees with the registered ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ScopeMismatch {
    /// Required scopes that are not in `scope`.
    pub(crate) missing: Vec<String>,
    /// Scopes that are not registered.
    pub(crate) unregistered: Vec<String>,
    /// Optional scopes in `scope`.
    pub(crate) not_in_optional_scope: Vec<String>,
    /// Conditionally required scopes in `optional_scope`.
    pub(crate) not_in_scope: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registered(
        required: &str,
        conditionally_required: &str,
        optional: &str,
    ) -> Result<RegisteredScopes, String> {
        let scopes = |names: &str| names.parse().unwrap();
        RegisteredScopes::new(scopes(required), scopes(conditionally_required), scopes(optional))
    }

    /// HubSpot's documentation, "Scopes": each scope is of one of the three kinds. `oauth` is always required.
    #[test]
    fn a_scope_is_of_one_kind_and_oauth_is_required() {
        assert_eq!(registered("a", "b", "c").unwrap().required().to_string(), "oauth a");
        assert_eq!(registered("a oauth", "b", "c").unwrap(), registered("a", "b", "c").unwrap());
        for (required, conditionally_required, optional, named) in [
            ("a", "a", "", "`a`"),
            ("a", "", "b a", "`a`"),
            ("", "x y", "y", "`y`"),
            ("", "oauth", "", "`oauth`"),
        ] {
            let error = registered(required, conditionally_required, optional).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn a_mismatch_names_each_scope_once_and_no_more_than_a_page_can_show() {
        let names: Vec<_> = (0..300).map(|number| format!("x{}", number / 2)).collect();
        let mismatch = registered("", "", "").unwrap().check(&names, &names).unwrap_err();
        assert_eq!((mismatch.unregistered.len(), &*mismatch.unregistered[1]), (MAX_SHOWN, "x1"));
        assert_eq!(mismatch.missing, ["oauth"]);
    }
}
