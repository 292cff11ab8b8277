//! What is wrong with the body of a response.

use std::fmt;

use super::scalar::Scalar;

/// One thing that is wrong with the body of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// The body is empty.
    Empty,
    /// The body did not arrive whole: the connection broke, the time was up, or the body is too large.
    Truncated,
    /// The body is not one complete JSON text.
    NotJson,
    /// The body is JSON, but not an object.
    NotAnObject,
    /// The field appears more than once.
    Repeated(&'static str),
    /// The required field is missing or null.
    Missing(&'static str),
    /// The field has a value of the wrong type.
    WrongType(&'static str),
    /// The field has an invalid value, such as a token with a line break, a lifetime of zero, or a token type other than
    /// `bearer`.
    Invalid(&'static str),
}

impl Problem {
    /// Returns what is wrong with `value`, given that it is not acceptable as the value of the required field `field`.
    pub(crate) fn of_required(value: &Scalar<'_>, field: &'static str) -> Self {
        match value {
            Scalar::Absent => Self::Missing(field),
            Scalar::Bool(_) | Scalar::Other => Self::WrongType(field),
            Scalar::Integer(_) | Scalar::Text(_) => Self::Invalid(field),
        }
    }

    /// Returns HubSpot's name of the field that this is about, or `None` if it is about the whole body.
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::Empty | Self::Truncated | Self::NotJson | Self::NotAnObject => None,
            Self::Repeated(field) | Self::Missing(field) | Self::WrongType(field) | Self::Invalid(field) => {
                Some(field)
            }
        }
    }

    /// Returns HubSpot's name of the missing field, or `None` if this is another problem.
    pub const fn missing(&self) -> Option<&'static str> {
        match self {
            Self::Missing(field) => Some(field),
            _ => None,
        }
    }
}

/// Joins the outcome of [`read`](super::read) and the problems of single fields.
///
/// If the body itself is bad, missing fields are left out: they may be missing only because the body broke off.
pub(crate) fn all_problems(outcome: Result<(), Problem>, mut fields: Vec<Problem>) -> Vec<Problem> {
    if let Err(problem) = outcome {
        fields.retain(|field| !matches!(field, Problem::Missing(_)));
        fields.insert(0, problem);
    }
    fields
}

/// Reads the value of a required field. If `read` returns `None`, adds what is wrong with the field to `problems`.
pub(crate) fn required<'a, T>(
    name: &'static str,
    value: Scalar<'a>,
    problems: &mut Vec<Problem>,
    read: impl FnOnce(Scalar<'a>) -> Option<T>,
) -> Option<T> {
    let problem = Problem::of_required(&value, name);
    let read = read(value);
    if read.is_none() {
        problems.push(problem);
    }
    read
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("it is empty"),
            Self::Truncated => f.write_str("it did not arrive whole"),
            Self::NotJson => f.write_str("it is not JSON"),
            Self::NotAnObject => f.write_str("it is not a JSON object"),
            Self::Repeated(field) => write!(f, "`{field}` is there twice"),
            Self::Missing(field) => write!(f, "`{field}` is missing"),
            Self::WrongType(field) => write!(f, "`{field}` is of the wrong type"),
            Self::Invalid(field) => write!(f, "`{field}` has an invalid value"),
        }
    }
}
