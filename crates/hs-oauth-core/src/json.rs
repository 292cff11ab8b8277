//! Lenient reading of JSON from outside, and unknown fields of stored JSON.
//!
//! HubSpot's responses must be read even when they are not quite as documented: a body may hold a refresh token that
//! exists nowhere else. So a body is not deserialized as a whole, where one bad value would lose everything. Instead:
//!
//! 1. [`json_object!`] declares a struct with the fields that we know of an object. Each begins as absent.
//! 2. [`read`] fills the struct field by field. A value of the wrong type is recorded as such in its own field; the rest
//!    is read as usual. Unknown fields are skipped. `null` counts as absent.
//! 3. If the body is not valid JSON, the fields before the error are still filled, and strings after it are searched for.
//!    [`read`] returns the [`Problem`], and the struct holds what was found.
//! 4. The caller decides which fields it needs: [`required`] collects a [`Problem`] for each one that is missing or bad.
//!
//! The files:
//! - `lenient`: [`read`] and [`read_nested`].
//! - `object`: [`Object`], the trait of a declared object, and [`json_object!`], which implements it.
//! - `scalar`: [`Scalar`], a field that holds a string, an integer or a boolean; and [`Slot`], which fills a field.
//! - `field`: [`Field`], a field that holds an array or an object.
//! - `text`: [`Text`], a string that is borrowed from the body where possible.
//! - `salvage`: the search for strings in a body that is not valid JSON.
//! - `problem`: [`Problem`], what is wrong with a body.
//! - `unknown`: [`UnknownFields`], fields of a stored object that a later version of this library wrote.

mod field;
mod lenient;
mod object;
mod problem;
mod salvage;
mod scalar;
mod text;
mod unknown;

pub(crate) use field::{Field, FromJson, ListMap, TextMap};
pub(crate) use lenient::{read, read_nested};
pub(crate) use object::{Object, json_object};
pub use problem::Problem;
pub(crate) use problem::{all_problems, required};
pub(crate) use scalar::{Scalar, Slot};
pub(crate) use text::Text;
pub use unknown::UnknownFields;
