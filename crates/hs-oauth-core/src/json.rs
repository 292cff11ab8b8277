//! Reading JSON from outside: the lenient reading of responses, and what stored objects keep of fields they do not know.
//!
//! - [`lenient`]: an object is read field by field, and one bad field costs that field only.
//! - [`salvage`]: texts are found in an object that is no valid JSON.
//! - [`problem`]: what is wrong with a body.
//! - [`unknown`]: fields that a later version of this library wrote.

mod field;
mod lenient;
mod object;
mod problem;
mod salvage;
mod scalar;
mod text;
mod unknown;

pub(crate) use field::{Field, Lists, Shape, Texts};
pub(crate) use lenient::{nested, read};
pub(crate) use object::{Object, json_object};
pub use problem::Problem;
pub(crate) use problem::{needed, problems};
pub(crate) use scalar::{Scalar, Slot};
pub(crate) use text::Text;
pub use unknown::UnknownFields;
