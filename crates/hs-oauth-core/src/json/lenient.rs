//! Reads a JSON object so that one bad field does not cost the rest.
//!
//! A value of the wrong type, a repeated field or a body that breaks off leaves the other fields readable.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::object::Object;
use super::problem::Problem;
use super::salvage::salvage;
use super::scalar::Slot;

/// Reads the JSON object in `body` into the fields of `object`.
///
/// Fields are filled even if this returns a problem. If the body is not valid JSON, `object` holds the fields before the error
/// and the strings that were found after it. A number at which the body breaks off is not among them.
pub(crate) fn read<'a, O: Object<'a>>(body: &'a [u8], object: &mut O) -> Result<(), Problem> {
    let mut repeated = None;
    // RFC 8259 §8.1 allows a reader to ignore a byte order mark.
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let visitor = ObjectVisitor { object, repeated: &mut repeated };
    let body = without_cut_number(body);
    // One check of the whole body for UTF-8 is cheaper than one for each string. A body that is not UTF-8 is read all the
    // same: bad bytes do no harm in a value that is skipped.
    let outcome = match std::str::from_utf8(body) {
        Ok(text) => parse(serde_json::Deserializer::from_str(text), visitor),
        Err(_) => parse(serde_json::Deserializer::from_slice(body), visitor),
    };
    match (outcome, repeated) {
        (Err(error), _) if error.is_data() => Err(Problem::NotAnObject),
        (Err(_), _) if body.trim_ascii().is_empty() => Err(Problem::Empty),
        (Err(_), _) => {
            salvage(body, object);
            Err(Problem::NotJson)
        }
        (Ok(()), Some(key)) => Err(Problem::Repeated(key)),
        (Ok(()), None) => Ok(()),
    }
}

/// Returns the body without the digits at its end, which may be the beginning of a longer number if the body breaks off there.
fn without_cut_number(body: &[u8]) -> &[u8] {
    let digits = body.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    match body.split_at_checked(body.len() - digits) {
        // Digits after a whole object are no part of it.
        Some((before, _)) if !matches!(before.trim_ascii_end().last(), None | Some(b'}')) => before,
        _ => body,
    }
}

/// Reads one whole JSON text, with nothing after it.
fn parse<'a, R: serde_json::de::Read<'a>, O: Object<'a>>(
    mut json: serde_json::Deserializer<R>,
    visitor: ObjectVisitor<'_, O>,
) -> serde_json::Result<()> {
    json.deserialize_any(visitor)?;
    json.end()
}

/// Reads a nested object field by field, as [`read`] does. Repeated fields in it are not reported.
pub(crate) fn read_nested<'a, O: Object<'a>, A: MapAccess<'a>>(map: &mut A) -> Result<O, A::Error> {
    let mut object = O::default();
    while let Some(key) = map.next_key_seed(KeySeed::<O>(PhantomData))? {
        read_value(&mut object, key, map)?;
    }
    Ok(object)
}

struct ObjectVisitor<'o, O> {
    object: &'o mut O,
    repeated: &'o mut Option<&'static str>,
}

impl<'a, O: Object<'a>> Visitor<'a> for ObjectVisitor<'_, O> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut object: A) -> Result<(), A::Error> {
        while let Some(key) = object.next_key_seed(KeySeed::<O>(PhantomData))? {
            if let Some(name) = read_value(self.object, key, &mut object)? {
                *self.repeated = Some(name);
            }
        }
        Ok(())
    }
}

/// Reads the value of the field `key`, or skips it if the key is unknown. Returns the field's name if it had a value already.
fn read_value<'a, O: Object<'a>, A: MapAccess<'a>>(
    object: &mut O,
    key: Option<O::Key>,
    map: &mut A,
) -> Result<Option<&'static str>, A::Error> {
    let Some(key) = key else { return map.next_value::<IgnoredAny>().map(|_| None) };
    let repeated = match object.scalar(key) {
        Some(scalar) => {
            let repeated = !scalar.is_absent();
            map.next_value_seed(Slot(scalar))?;
            repeated
        }
        None => object.read_other(key, map)?,
    };
    Ok(repeated.then(|| O::name(key)))
}

/// Reads a key as the field that it names, or `None` if the object has no such field.
struct KeySeed<O>(PhantomData<O>);

impl<'a, O: Object<'a>> DeserializeSeed<'a> for KeySeed<O> {
    type Value = Option<O::Key>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Option<O::Key>, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl<'a, O: Object<'a>> Visitor<'a> for KeySeed<O> {
    type Value = Option<O::Key>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Option<O::Key>, E> {
        Ok(O::key(name))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::super::{Field, Scalar, TextMap, json_object};
    use super::*;
    use crate::scope::Scopes;

    json_object! {
        struct Sample<'a> {
        scalars {
            text = "text",
            number = "number",
        }
        others {
            scopes: Scopes = "scopes",
            links: TextMap<'a> = "links",
        }
    }
    }

    fn sample(body: &[u8]) -> (Sample<'_>, Result<(), Problem>) {
        let mut sample = Sample::default();
        let outcome = read(body, &mut sample);
        (sample, outcome)
    }

    #[test]
    fn a_field_of_the_wrong_type_costs_no_other_field() {
        let (read, outcome) =
            sample(br#"{"text":["email protected"],"number":"1","scopes":{"a":[1]},"links":{"a":"b","c":[[]]},"x":{}}"#);
        assert_eq!(outcome, Ok(()));
        assert_eq!((read.text, read.number.into_text().as_deref()), (Scalar::Other, Some("1")));
        assert!(matches!(read.scopes, Field::WrongType));
        assert_eq!(read.links.into_value(), Some(vec![("a".into(), "b".into())]));
    }

    #[test]
    fn null_counts_as_absent() {
        let (read, outcome) = sample(br#"{"text":null,"scopes":null}"#);
        assert_eq!(outcome, Ok(()));
        assert!(read.text.is_absent() && read.scopes.is_absent());
    }

    #[test]
    fn the_fields_before_a_break_are_read() {
        let (read, outcome) = sample(br#"{"text":"kept","number":17,"scopes":["a","b"#);
        assert_eq!(outcome, Err(Problem::NotJson));
        assert_eq!((read.text.into_text().as_deref(), read.number.as_integer()), (Some("kept"), Some(17)));
    }

    /// Half a user id is that of somebody else.
    #[test]
    fn a_number_at_which_the_body_breaks_off_is_not_read() {
        for cut in ["1", "12345", "-", "-1", " 7"] {
            let body = format!(r#"{{"text":"kept","number":{cut}"#);
            let (read, outcome) = sample(body.as_bytes());
            assert_eq!(outcome, Err(Problem::NotJson), "{cut}");
            assert_eq!(read.text.into_text().as_deref(), Some("kept"), "{cut}");
            assert!(read.number.is_absent(), "{cut}");
        }
        for after in ["", " ", ",", ", \"x\":1"] {
            let body = format!(r#"{{"number":17{after}"#);
            let (read, _) = sample(body.as_bytes());
            let is_whole = !after.is_empty();
            assert_eq!(read.number.as_integer(), is_whole.then_some(17), "{after:?}");
        }
    }

    /// A refresh token may come after such a value, and exist nowhere else.
    #[test]
    fn bytes_that_are_not_utf_8_do_no_harm_in_values_that_are_skipped() {
        for junk in [&b"\"\xe9\""[..], b"[1,\"\xe9\"]", b"{\"a\":{\"\xe9\":1}}"] {
            let body = [b"{\"junk\":", junk, b",\"text\":\"kept\",\"links\":{\"a\":\"b\"}}"].concat();
            let (read, outcome) = sample(&body);
            assert_eq!(outcome, Ok(()), "{body:?}");
            assert_eq!(read.text.into_text().as_deref(), Some("kept"), "{body:?}");
            assert_eq!(read.links.into_value(), Some(vec![("a".into(), "b".into())]), "{body:?}");
        }
        let (read, outcome) = sample(b"{\"number\":7,\"text\":\"\xe9\"}");
        assert_eq!((read.number.as_integer(), outcome), (Some(7), Err(Problem::NotJson)));
    }

    /// RFC 8259 §6 sets no limit to numbers, and §8.2 allows half of a surrogate pair. Readers differ here; `serde_json` accepts
    /// neither.
    #[test]
    fn strings_after_invalid_json_are_found() {
        for wrong in [
            &b"\"number\":1e400"[..],
            b"\"number\":-1e999",
            b"\"scopes\":[1e400]",
            b"\"number\":\"\\ud800\"",
            b"\"scopes\":[\"\\udfff\"]",
            b"\"\\ud800\":1",
            b"\"\\ud800\":\"\\\\\"",
            b"\"\xe9\":{\"text\":\"inside\"}",
            b"\"links\":{\"\\ud800\":\"\", \"text\":\"inside\"}",
            b"\"scopes\":[\"\xe9\"]",
            b"\"number\":NaN",
            b"number:1",
        ] {
            let body = [b" {", wrong, b", \"te\\u0078t\" :\t\"ke\\u0070t\" ,\"number\":\"7\"}"].concat();
            let (read, outcome) = sample(&body);
            assert_eq!(outcome, Err(Problem::NotJson), "{}", body.escape_ascii());
            assert_eq!(read.text.into_text().as_deref(), Some("kept"), "{}", body.escape_ascii());
        }
        for body in [
            &b"{\"number\":1e400,\"text\":\"cut"[..],
            b"{\"number\":1e400,\"text\":\"cut\\\"",
            b"{\"number\":1e400,\"text\":[\"no text\"]}",
            b"{\"number\":1e400,\"links\":{\"text\":\"inside\"}}",
            b"{\"number\":1e400,\"x\":\"text\",\"y\":\"z\"}",
            b"{\"number\":1e400,\"text\":\"\xe9\"}",
            b"[1e400,\"text\":\"in a list\"]",
            b"<p>{\"text\":\"in a page\"}",
        ] {
            let (read, outcome) = sample(body);
            assert!(outcome.is_err(), "{}", body.escape_ascii());
            assert!(read.text.is_absent(), "{}", body.escape_ascii());
        }
    }

    #[test]
    fn a_repeated_field_is_named() {
        let (read, outcome) = sample(br#"{"text":"a","text":"b"}"#);
        assert_eq!(outcome, Err(Problem::Repeated("text")));
        assert_eq!(read.text.into_text().as_deref(), Some("b"));
        for nothing in ["null", "\"\"", "[]", "true", "7", "\"b\\nad\""] {
            let body = format!(r#"{{"text":"a","text":{nothing}}}"#);
            assert_eq!(sample(body.as_bytes()).0.text.into_text().as_deref(), Some("a"), "{nothing}");
        }
    }

    #[test]
    fn a_body_that_is_not_an_object_is_reported_as_what_it_is() {
        let nested = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
        for (body, problem) in [
            (&b""[..], Problem::Empty),
            (b" \r\n", Problem::Empty),
            (b"\xef\xbb\xbf", Problem::Empty),
            (b"[1]", Problem::NotAnObject),
            (b"null", Problem::NotAnObject),
            (b"\"text\"", Problem::NotAnObject),
            (b"<html>", Problem::NotJson),
            (b"{}{}", Problem::NotJson),
            (b"{} 7", Problem::NotJson),
            (b"17", Problem::NotAnObject),
            (b"{\"text\":\"\xff\"}", Problem::NotJson),
            (b"{}\xff", Problem::NotJson),
        ] {
            assert_eq!(sample(body).1, Err(problem), "{body:?}");
        }
        assert!(sample(&nested).1.is_err());
        let inside = [b"{\"text\":", &nested[..], b"}"].concat();
        assert_eq!(sample(&inside).0.text, Scalar::Other);
        let unknown = [b"{\"x\":", &nested[..], b"}"].concat();
        assert_eq!(sample(&unknown).1, Ok(()));
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        let (read, outcome) = sample(b"\xef\xbb\xbf{\"number\":1}");
        assert_eq!((read.number.as_integer(), outcome), (Some(1), Ok(())));
    }

    #[test]
    fn a_number_that_is_not_an_integer_of_64_bits_is_of_the_wrong_type() {
        for (json, number) in [
            ("9223372036854775807", Some(i64::MAX)),
            ("-1", Some(-1)),
            ("9223372036854775808", None),
            ("1e3", None),
            ("1.5", None),
            ("1e400", None),
        ] {
            let body = format!("{{\"number\":{json}}}");
            assert_eq!(sample(body.as_bytes()).0.number.as_integer(), number, "{json}");
        }
    }

    #[test]
    fn a_number_is_read_when_another_crate_enables_arbitrary_precision() {
        let entry = std::iter::once(("$serde_json::private::Number", "1800"));
        let map = serde::de::value::MapDeserializer::<_, serde::de::value::Error>::new(entry);
        assert_eq!(Scalar::deserialize(map).unwrap(), Scalar::Integer(1800));
    }
}
