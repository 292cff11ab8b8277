//! Signing in and out. This stands for the login that you have: here anybody can sign in as anybody.

use axum::Extension;
use axum::response::Redirect;
use serde::Deserialize;

use crate::problem::Problem;
use crate::session::{NoFields, SafeForm, Visitor};

/// The most bytes that a name may have.
const MAX_NAME: usize = 100;

#[derive(Deserialize)]
pub(crate) struct Name {
    name: String,
}

pub(crate) async fn sign_in(
    Extension(visitor): Extension<Visitor>,
    SafeForm(form): SafeForm<Name>,
) -> Result<Redirect, Problem> {
    let name = form.name.trim();
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(Problem::invalid("Enter a name of at most 100 characters."));
    }
    visitor.sign_in(name.to_owned())?;
    let next_page = visitor.session().next_page.take();
    Ok(Redirect::to(next_page.as_deref().unwrap_or("/")))
}

pub(crate) async fn sign_out(
    Extension(visitor): Extension<Visitor>,
    SafeForm(_): SafeForm<NoFields>,
) -> Result<Redirect, Problem> {
    visitor.sign_out()?;
    Ok(Redirect::to("/"))
}
