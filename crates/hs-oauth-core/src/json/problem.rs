use std::fmt;

use super::scalar::Scalar;

/// What is wrong with the body of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// There is no body.
    Empty,
    /// The body did not arrive whole: the connection broke, the time was up, or it is too large.
    Truncated,
    /// The body is not one whole JSON text.
    NotJson,
    /// The body is JSON, but not an object.
    NotAnObject,
    /// A field stands there more than once.
    Repeated(&'static str),
    /// A needed field is not there, or null.
    Missing(&'static str),
    /// A needed field has another type than it should.
    WrongType(&'static str),
    /// A field's value cannot be: a token with a line break, a lifetime of zero, a token type other than `bearer`.
    Invalid(&'static str),
}

impl Problem {
    /// Says what is wrong with `value` as the value of a needed field that could not be read.
    pub(crate) fn of(value: &Scalar<'_>, field: &'static str) -> Self {
        match value {
            Scalar::Absent => Self::Missing(field),
            Scalar::Bool(_) | Scalar::Other => Self::WrongType(field),
            Scalar::Integer(_) | Scalar::Text(_) => Self::Invalid(field),
        }
    }

    /// The field it is about, by HubSpot's name for it; none if it is the whole body.
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::Empty | Self::Truncated | Self::NotJson | Self::NotAnObject => None,
            Self::Repeated(field) | Self::Missing(field) | Self::WrongType(field) | Self::Invalid(field) => {
                Some(field)
            }
        }
    }

    /// The field that is missing, if that is the problem.
    pub const fn missing(&self) -> Option<&'static str> {
        match self {
            Self::Missing(field) => Some(field),
            _ => None,
        }
    }
}

/// Everything that is wrong with a body. Fields that are missing because the body broke off are not worth naming.
pub(crate) fn problems(outcome: Result<(), Problem>, mut fields: Vec<Problem>) -> Vec<Problem> {
    if let Err(problem) = outcome {
        fields.retain(|field| !matches!(field, Problem::Missing(_)));
        fields.insert(0, problem);
    }
    fields
}

/// Reads a field the caller cannot do without, or notes what is wrong with it.
pub(crate) fn needed<'a, T>(
    name: &'static str,
    value: Scalar<'a>,
    problems: &mut Vec<Problem>,
    read: impl FnOnce(Scalar<'a>) -> Option<T>,
) -> Option<T> {
    let problem = Problem::of(&value, name);
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
            Self::Invalid(field) => write!(f, "`{field}` has a value that cannot be"),
        }
    }
}
