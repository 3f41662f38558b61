//! One function for each parser that meets bytes of a stranger: it must not panic, and what it accepts
//! must be what was signed. `cargo fuzz` drives the same functions (see `fuzz/`).

#[path = "targets/request.rs"]
pub mod request;
#[path = "targets/text.rs"]
pub mod text;
#[path = "targets/token.rs"]
pub mod token;

/// Name, function, well-formed input to start from.
type Target = (&'static str, fn(&[u8]), fn() -> Vec<Vec<u8>>);

/// The parsers beside those of [`request::GROUPS`].
const OTHERS: [Target; 5] = [
    ("claims", token::claims, token::seeds),
    ("keys", text::keys, text::key_seeds),
    ("schemes", text::schemes, text::scheme_seeds),
    ("sources", text::sources, text::source_seeds),
    ("events", text::events, text::event_seeds),
];

/// Every target.
pub fn names() -> impl Iterator<Item = &'static str> {
    let groups = request::GROUPS.iter().map(|(name, _)| *name);
    groups.chain(OTHERS.iter().map(|(name, ..)| *name))
}

/// Hands the bytes to the target of this name; panics when something is wrong with what came of them.
pub fn run(name: &str, data: &[u8]) {
    if let Some((_, group)) = request::GROUPS.iter().find(|(known, _)| *known == name) {
        return request::judge(group, data);
    }
    let other = OTHERS.iter().find(|(known, ..)| *known == name);
    (other.expect("the target has this name").1)(data);
}

/// Well-formed input of the target of this name.
pub fn seeds(name: &str) -> Vec<Vec<u8>> {
    if let Some((_, group)) = request::GROUPS.iter().find(|(known, _)| *known == name) {
        return request::seeds(group);
    }
    let other = OTHERS.iter().find(|(known, ..)| *known == name);
    (other.expect("the target has this name").2)()
}
