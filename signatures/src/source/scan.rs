//! Values at JSON pointers, in one pass and without building the rest of the document.
//!
//! What is found is what a tree of the document would say: of members by one name the last counts, with
//! everything below it, and a document nested deeper than 128 is none.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};

/// A value, as far as an event needs it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Found<'j> {
    /// A text, its escapes resolved.
    Text(Cow<'j, str>),
    /// A whole number that fits.
    Whole(i64),
    Null,
    /// Anything else: another number, a truth, an array, an object.
    Other,
}

/// What is at each of these pointers (RFC 6901) in `json`, which is one document and nothing after it;
/// `None` where it is none. A pointer that is absent finds nothing.
pub(super) fn scan<'j, const N: usize>(
    json: &'j [u8],
    pointers: [Option<&str>; N],
) -> Option<[Option<Found<'j>>; N]> {
    let mut found = [const { None }; N];
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    Place { paths: pointers, found: &mut found }.deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    Some(found)
}

/// What is left of each pointer at a value; `None` where it leads elsewhere.
type Paths<'p, const N: usize> = [Option<&'p str>; N];

/// A value that some pointers may lead to, or through.
struct Place<'f, 'j, 'p, const N: usize> {
    paths: Paths<'p, N>,
    found: &'f mut [Option<Found<'j>>; N],
}

impl<'j, const N: usize> Place<'_, 'j, '_, N> {
    fn end(self, value: &Found<'j>) {
        for (found, path) in self.found.iter_mut().zip(self.paths) {
            if path == Some("") {
                *found = Some(value.clone());
            }
        }
    }
}

impl<'j, const N: usize> DeserializeSeed<'j> for Place<'_, 'j, '_, N> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'j>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.paths.iter().all(Option::is_none) {
            deserializer.deserialize_any(Passed)
        } else {
            deserializer.deserialize_any(self)
        }
    }
}

impl<'j, const N: usize> Visitor<'j> for Place<'_, 'j, '_, N> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.end(&Found::Null);
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.end(&Found::Other);
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.end(&Found::Whole(number));
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.end(&i64::try_from(number).map_or(Found::Other, Found::Whole));
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.end(&Found::Other);
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.end(&Found::Text(Cow::Owned(text.to_owned())));
        Ok(())
    }

    fn visit_borrowed_str<E>(self, text: &'j str) -> Result<(), E> {
        self.end(&Found::Text(Cow::Borrowed(text)));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'j>>(self, mut elements: A) -> Result<(), A::Error> {
        let Self { paths, found } = self;
        Place { paths, found: &mut *found }.end(&Found::Other);
        let mut index = 0_usize;
        loop {
            let paths = paths.map(|path| path.and_then(|path| element(path, index)));
            let place = Place { paths, found: &mut *found };
            if elements.next_element_seed(place)?.is_none() {
                return Ok(());
            }
            index = index.saturating_add(1);
        }
    }

    fn visit_map<A: MapAccess<'j>>(self, mut members: A) -> Result<(), A::Error> {
        let Self { paths, found } = self;
        Place { paths, found: &mut *found }.end(&Found::Other);
        while let Some(paths) = members.next_key_seed(Name(paths))? {
            // An earlier member by this name counts no more.
            for (found, path) in found.iter_mut().zip(paths) {
                if path.is_some() {
                    *found = None;
                }
            }
            members.next_value_seed(Place { paths, found: &mut *found })?;
        }
        Ok(())
    }
}

/// A member's name: which pointers lead on below it.
struct Name<'p, const N: usize>(Paths<'p, N>);

impl<'j, 'p, const N: usize> DeserializeSeed<'j> for Name<'p, N> {
    type Value = Paths<'p, N>;

    fn deserialize<D: serde::Deserializer<'j>>(
        self,
        deserializer: D,
    ) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'p, const N: usize> Visitor<'_> for Name<'p, N> {
    type Value = Paths<'p, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        let is_plain = !name.bytes().any(|byte| matches!(byte, b'/' | b'~'));
        let below = |path: &'p str| if is_plain { plain(path, name) } else { escaped(path, name) };
        Ok(self.0.map(|path| path.and_then(below)))
    }
}

/// What is left of a path below the member `name`, which has nothing in it that a pointer escapes.
fn plain<'p>(path: &'p str, name: &str) -> Option<&'p str> {
    let rest = path.strip_prefix('/')?.strip_prefix(name)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// The same for any name.
fn escaped<'p>(path: &'p str, name: &str) -> Option<&'p str> {
    let (token, rest) = first(path)?;
    (token.replace("~1", "/").replace("~0", "~") == name).then_some(rest)
}

/// What is left of a path below the element at `index`.
fn element(path: &str, index: usize) -> Option<&str> {
    let (token, rest) = first(path)?;
    let is_number = !token.starts_with('+') && (token.len() == 1 || !token.starts_with('0'));
    (is_number && token.parse() == Ok(index)).then_some(rest)
}

/// A path's first token, as it is written, and what follows.
fn first(path: &str) -> Option<(&str, &str)> {
    let path = path.strip_prefix('/')?;
    path.split_at_checked(path.find('/').unwrap_or(path.len()))
}

/// A value that no pointer leads to: read, because the document must be right, and passed over.
struct Passed;

impl<'j> DeserializeSeed<'j> for Passed {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'j>>(self, deserializer: D) -> Result<(), D::Error> {
        // Not `IgnoredAny`, which goes to any depth.
        deserializer.deserialize_any(self)
    }
}

impl<'j> Visitor<'j> for Passed {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'j>>(self, mut elements: A) -> Result<(), A::Error> {
        while elements.next_element_seed(Self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'j>>(self, mut members: A) -> Result<(), A::Error> {
        while members.next_key_seed(Name([]))?.is_some() {
            members.next_value_seed(Self)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// What a tree of the document says.
    #[expect(clippy::option_option, reason = "no document and nothing found differ")]
    fn looked_up(json: &[u8], pointer: &str) -> Option<Option<Found<'static>>> {
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let value = <Value as serde::Deserialize>::deserialize(&mut deserializer).ok()?;
        deserializer.end().ok()?;
        Some(value.pointer(pointer).map(|value| match value {
            Value::Null => Found::Null,
            Value::String(text) => Found::Text(Cow::Owned(text.clone())),
            Value::Number(number) => number.as_i64().map_or(Found::Other, Found::Whole),
            _ => Found::Other,
        }))
    }

    /// Documents of few names, so that members repeat and pointers meet something; some are broken.
    fn document() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            Just("1.5".to_owned()),
            Just("18446744073709551615".to_owned()),
            Just("1e999".to_owned()),
            Just("oops".to_owned()),
            any::<i64>().prop_map(|number| number.to_string()),
            any::<String>().prop_map(|text| Value::from(text).to_string()),
            Just(r#""\u0041\n""#.to_owned()),
        ];
        leaf.prop_recursive(5, 40, 4, |inner| {
            let name = prop::sample::select(vec!["a", "b", "a/b", "a~1b", "~", "", "0", "\\u0061"]);
            let member =
                (name, inner.clone()).prop_map(|(name, value)| format!("\"{name}\":{value}"));
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(|it| format!("[{}]", it.join(","))),
                prop::collection::vec(member, 0..4).prop_map(|it| format!("{{{}}}", it.join(","))),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_scan_finds_what_a_tree_would_for_any_document_and_pointers(
            document in document(),
            pointers in prop::array::uniform4(
                prop::sample::select(vec!["/a", "/b", "/a/b", "/a/a", "/a~1b", "/~0", "/", "/0", "/1/a",
                    "/a/0", "/00", "/+1", "/a/b/a", "/b/1/b", "", "a", "/a~01b", "//a"]),
            ),
        ) {
            let scanned = scan(document.as_bytes(), pointers.map(Some));
            for (place, pointer) in pointers.into_iter().enumerate() {
                let found = scanned.as_ref().map(|found| found[place].clone());
                prop_assert_eq!(found, looked_up(document.as_bytes(), pointer), "{}", pointer);
            }
        }
    }

    #[test]
    fn no_document_is_nested_deeper_than_128_also_where_nobody_looks() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        for pointer in [None, Some("/a"), Some("/0/0")] {
            for (depth, expect) in [(127, true), (128, false), (100_000, false)] {
                let document = nested(depth);
                let is_read = scan(document.as_bytes(), [pointer]).is_some();
                assert_eq!(is_read, expect, "{depth} {pointer:?}");
                assert_eq!(looked_up(document.as_bytes(), "").is_some(), expect, "{depth}");
            }
        }
    }

    #[test]
    fn what_is_no_json_has_nothing_to_be_found() {
        for json in
            [&b""[..], b"{", b"{} {}", b"{\"a\":\"\xff\"}", b"{\"\xff\":1}", b"[1,]", b"\"\n\""]
        {
            assert_eq!(scan(json, [Some("/b")]), None, "{json:?}");
        }
    }
}
