//! Reading JSON so that one bad field costs that field and not the rest. A value of the wrong type, a field that is there
//! twice and text that breaks off half-way leave everything else read, so that what can still be saved is saved.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde_core::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use crate::error::Problem;
use crate::printable::all;
use crate::scope::{Scope, Scopes};
use crate::secret::is_printable;
use crate::text::Text;

/// A JSON object that knows its fields. Implemented by [`json_object!`].
pub(crate) trait Object<'a>: Default {
    /// One of the fields.
    type Key: Copy;

    /// The field of that name.
    fn key(name: &str) -> Option<Self::Key>;

    /// Its name.
    fn name(key: Self::Key) -> &'static str;

    /// Where it is kept, if it is a scalar.
    fn scalar(&mut self, key: Self::Key) -> Option<&mut Scalar<'a>>;

    /// Reads the value of one that is none, and tells whether it was there before.
    fn other<A: MapAccess<'a>>(&mut self, key: Self::Key, object: &mut A) -> Result<bool, A::Error>;
}

/// Declares the fields of a JSON object: first those that are a [`Scalar`], `field = "key"`, then those that are a [`Field`],
/// `field: T = "key"`.
macro_rules! json_object {
    ($(#[$doc:meta])* struct $name:ident<$a:lifetime> {
        scalars { $($scalar:ident = $scalar_key:literal,)* }
        others { $($other:ident: $kind:ty = $other_key:literal,)* }
    }) => {
        $(#[$doc])*
        #[derive(Default)]
        struct $name<$a> {
            $($scalar: $crate::answer::Scalar<$a>,)*
            $($other: $crate::answer::Field<$kind>,)*
        }

        const _: () = {
            #[derive(Clone, Copy)]
            #[allow(non_camel_case_types, reason = "named like the fields")]
            pub(crate) enum Key {
                $($scalar,)*
                $($other,)*
            }

            impl<$a> $crate::answer::Object<$a> for $name<$a> {
                type Key = Key;

                fn key(name: &str) -> Option<Key> {
                    match name {
                        $($scalar_key => Some(Key::$scalar),)*
                        $($other_key => Some(Key::$other),)*
                        _ => None,
                    }
                }

                fn name(key: Key) -> &'static str {
                    match key {
                        $(Key::$scalar => $scalar_key,)*
                        $(Key::$other => $other_key,)*
                    }
                }

                fn scalar(&mut self, key: Key) -> Option<&mut $crate::answer::Scalar<$a>> {
                    match key {
                        $(Key::$scalar => Some(&mut self.$scalar),)*
                        $(Key::$other => None,)*
                    }
                }

                fn other<A: serde_core::de::MapAccess<$a>>(
                    &mut self,
                    key: Key,
                    object: &mut A,
                ) -> Result<bool, A::Error> {
                    match key {
                        $(Key::$other => {
                            let repeated = !self.$other.is_absent();
                            object.next_value_seed($crate::answer::Slot(&mut self.$other)).map(|()| repeated)
                        })*
                        $(Key::$scalar => object.next_value::<serde_core::de::IgnoredAny>().map(|_| false),)*
                    }
                }
            }
        };
    };
}
pub(crate) use json_object;

/// Reads a body. What comes out beside an object that could not be read whole is what stood before the break, and the texts that
/// are found after it.
pub(crate) fn read<'a, O: Object<'a>>(body: &'a [u8], object: &mut O) -> Result<(), Problem> {
    let mut repeated = None;
    // RFC 8259 §8.1 lets a reader ignore a byte order mark.
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let visitor = ObjectVisitor { object, repeated: &mut repeated };
    // Checking the whole for UTF-8 at once is cheaper than each string. What is not UTF-8 harms nothing in a value that is passed
    // over, so such a body is read all the same.
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

fn parse<'a, R: serde_json::de::Read<'a>, O: Object<'a>>(
    mut json: serde_json::Deserializer<R>,
    visitor: ObjectVisitor<'_, O>,
) -> serde_json::Result<()> {
    json.deserialize_any(visitor)?;
    json.end()
}

/// Looks for texts in an object that no JSON reader takes whole: a number without bounds, half a surrogate or a byte that is not
/// UTF-8 ends the reading, and a token that stands after it may exist nowhere else.
#[cold]
fn salvage<'a, O: Object<'a>>(body: &'a [u8], object: &mut O) {
    let mut rest = body.trim_ascii_start();
    let (mut depth, mut key) = (0_u32, None);
    if rest.first() != Some(&b'{') {
        return;
    }
    while let Some((byte, after)) = rest.split_first() {
        let whole = rest;
        rest = after;
        match byte {
            b'{' | b'[' => (depth, key) = (depth.saturating_add(1), None),
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                let Some((text, after)) = end_of_text(after).and_then(|end| whole.split_at_checked(end))
                else {
                    return;
                };
                rest = after.trim_ascii_start();
                let text = || serde_json::from_slice::<Text<'a>>(text).ok();
                match (rest.strip_prefix(b":"), key.take()) {
                    _ if depth != 1 => {}
                    (Some(value), _) => {
                        rest = value.trim_ascii_start();
                        key = text().and_then(|Text(name)| O::key(&name));
                    }
                    (None, Some(key)) => {
                        if let (Some(scalar @ Scalar::Absent), Some(Text(text))) =
                            (object.scalar(key), text())
                        {
                            *scalar = Scalar::Text(text);
                        }
                    }
                    (None, None) => {}
                }
            }
            _ => key = None,
        }
    }
}

/// Where a text ends whose opening quote is passed, counted from that quote and with the closing one.
fn end_of_text(after: &[u8]) -> Option<usize> {
    let mut escaped = false;
    let end = after.iter().position(|byte| {
        let is_end = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        is_end
    });
    end.map(|end| end + 2)
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
            if let Some(key) = value(self.object, key, &mut object)? {
                *self.repeated = Some(key);
            }
        }
        Ok(())
    }
}

/// Reads the value that stands under `key`, and gives the key's name if it stood there before.
fn value<'a, O: Object<'a>, A: MapAccess<'a>>(
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
        None => object.other(key, map)?,
    };
    Ok(repeated.then(|| O::name(key)))
}

/// Reads a key as what it stands for.
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

/// A JSON scalar, or the fact that something else stands there.
#[derive(Debug, Default, PartialEq)]
pub(crate) enum Scalar<'a> {
    #[default]
    Absent,
    Bool(bool),
    Integer(i64),
    Text(Cow<'a, str>),
    Other,
}

impl<'a> Scalar<'a> {
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    pub(crate) fn is_blank(&self) -> bool {
        match self {
            Self::Absent | Self::Other => true,
            Self::Text(text) => text.is_empty(),
            Self::Bool(_) | Self::Integer(_) => false,
        }
    }

    #[cold]
    fn repeat(&mut self, later: Self) {
        let gives_way = match (&*self, &later) {
            // The one may be the token that the other is not.
            (Self::Text(text), Self::Text(later)) => {
                text.is_empty() || !later.is_empty() && all(later, is_printable)
            }
            (Self::Text(text), _) => text.is_empty(),
            _ => !later.is_blank(),
        };
        if gives_way {
            *self = later;
        }
    }

    /// What is wrong with this as the value of a needed field that could not be read.
    pub(crate) fn problem(&self, field: &'static str) -> Problem {
        match self {
            Self::Absent => Problem::Missing(field),
            Self::Bool(_) | Self::Other => Problem::WrongType(field),
            Self::Integer(_) | Self::Text(_) => Problem::Invalid(field),
        }
    }

    pub(crate) fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(integer) => Some(*integer),
            _ => None,
        }
    }

    pub(crate) fn boolean(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }
}

impl<'a> Deserialize<'a> for Scalar<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        let mut scalar = Self::Absent;
        Slot(&mut scalar).deserialize(deserializer)?;
        Ok(scalar)
    }
}

/// Where a value is read into. A value that was read before it is replaced by the later one, but never by nothing, and a text by
/// nothing but a text.
pub(crate) struct Slot<'s, T>(pub(crate) &'s mut T);

impl<'a> DeserializeSeed<'a> for Slot<'_, Scalar<'a>> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Slot<'_, Scalar<'a>> {
    fn put<E>(self, value: Scalar<'a>) -> Result<(), E> {
        match self.0.is_absent() {
            true => *self.0 = value,
            false => self.0.repeat(value),
        }
        Ok(())
    }
}

impl<'a> Visitor<'a> for Slot<'_, Scalar<'a>> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.put(Scalar::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.put(Scalar::Integer(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.put(i64::try_from(value).map_or(Scalar::Other, Scalar::Integer))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.put(Scalar::Other)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.put(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'a str) -> Result<(), E> {
        self.put(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut list: A) -> Result<(), A::Error> {
        drain_list(&mut list)?;
        self.put(Scalar::Other)
    }

    fn visit_map<A: MapAccess<'a>>(self, mut object: A) -> Result<(), A::Error> {
        let number = drain_object(&mut object)?;
        self.put(number.map_or(Scalar::Other, Scalar::Integer))
    }
}

/// A list or an object read as a `T`, or the fact that nothing or something else stands there.
#[derive(Default)]
pub(crate) enum Field<T> {
    #[default]
    Absent,
    Wrong,
    Read(T),
}

impl<T> Field<T> {
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    pub(crate) fn read(self) -> Option<T> {
        match self {
            Self::Read(value) => Some(value),
            Self::Absent | Self::Wrong => None,
        }
    }
}

/// What a [`Field`] can be read as: from a text, a list, an object, or nothing of it.
pub(crate) trait Shape<'a>: Sized {
    fn from_text(_: &str) -> Option<Self> {
        None
    }

    fn from_list<A: SeqAccess<'a>>(_: &mut A) -> Result<Option<Self>, A::Error> {
        Ok(None)
    }

    fn from_object<A: MapAccess<'a>>(_: &mut A) -> Result<Option<Self>, A::Error> {
        Ok(None)
    }
}

impl<'a, T: Shape<'a>> Deserialize<'a> for Field<T> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        let mut field = Self::Absent;
        Slot(&mut field).deserialize(deserializer)?;
        Ok(field)
    }
}

impl<'a, T: Shape<'a>> DeserializeSeed<'a> for Slot<'_, Field<T>> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<T> Slot<'_, Field<T>> {
    fn put<E>(self, value: Option<T>) -> Result<(), E> {
        match value {
            Some(value) => *self.0 = Field::Read(value),
            None if self.0.is_absent() => *self.0 = Field::Wrong,
            None => {}
        }
        Ok(())
    }
}

impl<'a, T: Shape<'a>> Visitor<'a> for Slot<'_, Field<T>> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.put(None)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.put(None)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.put(None)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.put(None)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.put(T::from_text(text))
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut list: A) -> Result<(), A::Error> {
        let value = T::from_list(&mut list)?;
        drain_list(&mut list)?;
        self.put(value)
    }

    fn visit_map<A: MapAccess<'a>>(self, mut object: A) -> Result<(), A::Error> {
        let value = T::from_object(&mut object)?;
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.put(value)
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

/// Reads a nested object field by field.
pub(crate) fn nested<'a, O: Object<'a>, A: MapAccess<'a>>(map: &mut A) -> Result<O, A::Error> {
    let mut object = O::default();
    while let Some(key) = map.next_key_seed(KeySeed::<O>(PhantomData))? {
        value(&mut object, key, map)?;
    }
    Ok(object)
}

impl Shape<'_> for Scope {
    fn from_text(name: &str) -> Option<Self> {
        Some(Self::from_answer(name))
    }
}

impl<'a> Shape<'a> for Scopes {
    fn from_list<A: SeqAccess<'a>>(list: &mut A) -> Result<Option<Self>, A::Error> {
        let mut scopes = Vec::with_capacity(8);
        while let Some(scope) = list.next_element::<Field<Scope>>()? {
            match scope {
                Field::Read(scope) => scopes.push(scope),
                _ => return Ok(None),
            }
        }
        Ok(Some(Self::from_answer(scopes)))
    }
}

impl<'a> Shape<'a> for Vec<Cow<'a, str>> {
    fn from_list<A: SeqAccess<'a>>(list: &mut A) -> Result<Option<Self>, A::Error> {
        let mut texts = Self::new();
        while let Some(text) = list.next_element::<Scalar<'_>>()? {
            texts.extend(text.text());
        }
        Ok(Some(texts))
    }
}

/// The entries of an object with texts in it.
pub(crate) type Texts<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

impl<'a> Shape<'a> for Texts<'a> {
    fn from_object<A: MapAccess<'a>>(object: &mut A) -> Result<Option<Self>, A::Error> {
        let mut entries = Self::new();
        while let Some((Text(key), value)) = object.next_entry::<_, Scalar<'_>>()? {
            entries.extend(value.text().map(|value| (key, value)));
        }
        Ok(Some(entries))
    }
}

/// The entries of an object with lists of texts in it.
pub(crate) type Lists<'a> = Vec<(Cow<'a, str>, Vec<Cow<'a, str>>)>;

impl<'a> Shape<'a> for Lists<'a> {
    fn from_object<A: MapAccess<'a>>(object: &mut A) -> Result<Option<Self>, A::Error> {
        let mut entries = Self::new();
        while let Some((Text(key), value)) = object.next_entry::<_, Field<Vec<Cow<'_, str>>>>()? {
            entries.extend(value.read().map(|value| (key, value)));
        }
        Ok(Some(entries))
    }
}

/// Gives a number, if that is what the object stands for: with serde_json's feature `arbitrary_precision`, which any crate in a build
/// may switch on for all, one arrives as an object with one key.
fn drain_object<'a, A: MapAccess<'a>>(object: &mut A) -> Result<Option<i64>, A::Error> {
    let mut number = None;
    while let Some(Text(key)) = object.next_key()? {
        if key == "$serde_json::private::Number" {
            number = object.next_value::<Text<'_>>()?.0.parse().ok();
        } else {
            object.next_value::<IgnoredAny>()?;
        }
    }
    Ok(number)
}

fn drain_list<'a, A: SeqAccess<'a>>(list: &mut A) -> Result<(), A::Error> {
    while list.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    json_object! {
        struct Sample<'a> {
        scalars {
            text = "text",
            number = "number",
        }
        others {
            scopes: Scopes = "scopes",
            links: Texts<'a> = "links",
        }
    }
    }

    fn sample(body: &[u8]) -> (Sample<'_>, Result<(), Problem>) {
        let mut sample = Sample::default();
        let outcome = read(body, &mut sample);
        (sample, outcome)
    }

    #[test]
    fn a_field_of_the_wrong_type_costs_only_itself() {
        let (read, outcome) =
            sample(br#"{"text":["email protected"],"number":"1","scopes":{"a":[1]},"links":{"a":"b","c":[[]]},"x":{}}"#);
        assert_eq!(outcome, Ok(()));
        assert_eq!((read.text, read.number.text().as_deref()), (Scalar::Other, Some("1")));
        assert!(matches!(read.scopes, Field::Wrong));
        assert_eq!(read.links.read(), Some(vec![("a".into(), "b".into())]));
    }

    #[test]
    fn null_is_as_good_as_absent() {
        let (read, outcome) = sample(br#"{"text":null,"scopes":null}"#);
        assert_eq!(outcome, Ok(()));
        assert!(read.text.is_absent() && read.scopes.is_absent());
    }

    #[test]
    fn what_stood_before_a_break_is_kept() {
        let (read, outcome) = sample(br#"{"text":"kept","number":17,"scopes":["a","b"#);
        assert_eq!(outcome, Err(Problem::NotJson));
        assert_eq!((read.text.text().as_deref(), read.number.integer()), (Some("kept"), Some(17)));
    }

    /// The refresh token may stand after it, and exist nowhere else.
    #[test]
    fn what_is_not_utf_8_costs_nothing_where_nobody_looks() {
        for junk in [&b"\"\xe9\""[..], b"[1,\"\xe9\"]", b"{\"a\":{\"\xe9\":1}}"] {
            let body = [b"{\"junk\":", junk, b",\"text\":\"kept\",\"links\":{\"a\":\"b\"}}"].concat();
            let (read, outcome) = sample(&body);
            assert_eq!(outcome, Ok(()), "{body:?}");
            assert_eq!(read.text.text().as_deref(), Some("kept"), "{body:?}");
            assert_eq!(read.links.read(), Some(vec![("a".into(), "b".into())]), "{body:?}");
        }
        let (read, outcome) = sample(b"{\"number\":7,\"text\":\"\xe9\"}");
        assert_eq!((read.number.integer(), outcome), (Some(7), Err(Problem::NotJson)));
    }

    /// RFC 8259 §6 sets no bounds to numbers, and §8.2 allows half a surrogate: readers differ, and ours takes neither.
    #[test]
    fn texts_that_stand_after_what_no_reader_takes_are_found() {
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
            assert_eq!(read.text.text().as_deref(), Some("kept"), "{}", body.escape_ascii());
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
        assert_eq!(read.text.text().as_deref(), Some("b"));
        for nothing in ["null", "\"\"", "[]", "true", "7", "\"b\\nad\""] {
            let body = format!(r#"{{"text":"a","text":{nothing}}}"#);
            assert_eq!(sample(body.as_bytes()).0.text.text().as_deref(), Some("a"), "{nothing}");
        }
    }

    #[test]
    fn a_body_that_is_no_object_says_so() {
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
    fn a_byte_order_mark_is_passed_over() {
        let (read, outcome) = sample(b"\xef\xbb\xbf{\"number\":1}");
        assert_eq!((read.number.integer(), outcome), (Some(1), Ok(())));
    }

    #[test]
    fn numbers_are_whole_and_fit_64_bits_or_are_something_else() {
        for (json, number) in [
            ("9223372036854775807", Some(i64::MAX)),
            ("-1", Some(-1)),
            ("9223372036854775808", None),
            ("1e3", None),
            ("1.5", None),
            ("1e400", None),
        ] {
            let body = format!("{{\"number\":{json}}}");
            assert_eq!(sample(body.as_bytes()).0.number.integer(), number, "{json}");
        }
    }

    #[test]
    fn a_number_is_read_with_arbitrary_precision_switched_on_elsewhere_in_the_build() {
        let entry = std::iter::once(("$serde_json::private::Number", "1800"));
        let map = serde_core::de::value::MapDeserializer::<_, serde_core::de::value::Error>::new(entry);
        assert_eq!(Scalar::deserialize(map).unwrap(), Scalar::Integer(1800));
    }
}
