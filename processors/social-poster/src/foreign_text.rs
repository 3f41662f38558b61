//! Text that somebody else wrote, made harmless.
//!
//! Whoever pays decides what stands in the description. In a post it must not mention people,
//! link anywhere, tag, show an emoji by its code, break lines, or turn the direction of writing.

/// Characters kept of a foreign text.
pub(crate) const FOREIGN_TEXT_CHARS_MAX: usize = 60;
/// What stands for a text of which nothing is left.
const NOTHING_LEFT: &str = "somebody";
/// What stands at the end of a text that was cut.
const CUT: char = '…';

/// Neutralises a foreign text; the result is one line of 1 to [`FOREIGN_TEXT_CHARS_MAX`]
/// characters.
pub(crate) fn neutralise(text: &str) -> String {
    let mut kept = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let is_in_word = characters.peek().is_some_and(|next| next.is_alphanumeric());
        kept.push(if is_harmless(character, is_in_word) { character } else { ' ' });
    }
    let line = kept.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() {
        return NOTHING_LEFT.to_owned();
    }
    cut(line)
}

/// Letters and digits of any script, blanks, and the punctuation that names of people and shops
/// need. A dot only at the end of a word: `evil.example` is a link to some networks.
fn is_harmless(character: char, is_in_word: bool) -> bool {
    match character {
        '.' => !is_in_word,
        ' ' | ',' | ';' | '!' | '?' | '\'' | '’' | '"' | '-' | '–' | '&' | '+' | '*' | '('
        | ')' | '%' | '$' | '€' | '£' | '¥' => true,
        _ => character.is_alphanumeric(),
    }
}

fn cut(line: String) -> String {
    if line.chars().count() <= FOREIGN_TEXT_CHARS_MAX {
        return line;
    }
    let mut start: String = line.chars().take(FOREIGN_TEXT_CHARS_MAX.saturating_sub(1)).collect();
    start.truncate(start.trim_end().len());
    start.push(CUT);
    start
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expect: &str) {
        assert_eq!(neutralise(text), expect, "{text:?}");
    }

    #[test]
    fn names_stay_as_they_are() {
        check("Warung Bebek Bengil", "Warung Bebek Bengil");
        check("O'Brien & Sons (Café) No. 7", "O'Brien & Sons (Café) No. 7");
        check("喫茶店 東京", "喫茶店 東京");
    }

    #[test]
    fn mentions_tags_links_and_codes_are_taken_apart() {
        check("@victim@example.social look", "victim example social look");
        check("＠victim #tag ＃tag", "victim tag tag");
        check("https://evil.example/?a=b", "https evil example ?a b");
        check("www.evil.example", "www evil example");
        check("xmpp:a magnet:?xt :blobcat:", "xmpp a magnet ?xt blobcat");
        check("{amount} <b>", "amount b");
    }

    #[test]
    fn invisible_and_turning_characters_vanish() {
        check("a\u{202E}b\u{200B}c\r\nd\te\u{0}", "a b c d e");
        check("\u{2066}\n\t", NOTHING_LEFT);
        check("", NOTHING_LEFT);
    }

    #[test]
    fn long_texts_are_cut() {
        let cut = neutralise(&"ä".repeat(61));
        assert_eq!(cut.chars().count(), FOREIGN_TEXT_CHARS_MAX);
        assert!(cut.ends_with("ä…"));
        check(&"ä".repeat(60), &"ä".repeat(60));
    }

    /// What networks turn into mentions, tags, links, emoji, markup, templates, lines.
    const ACTED_ON: [char; 9] = ['@', '#', ':', '/', '<', '{', '\n', '\u{200B}', '\u{202E}'];

    proptest! {
        #[test]
        fn nothing_that_a_network_acts_on_is_left_for_any_text(text in "\\PC{0,80}|(?s:.){0,80}|[@#:/<a.\\n]{0,80}") {
            let line = neutralise(&text);
            let is_dot_in_word = |after: &str| after.starts_with(char::is_alphanumeric);
            prop_assert!((1..=FOREIGN_TEXT_CHARS_MAX).contains(&line.chars().count()));
            prop_assert!(!line.contains(ACTED_ON));
            prop_assert!(!line.split('.').skip(1).any(is_dot_in_word));
        }
    }
}
