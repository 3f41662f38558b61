//! What of a changelog belongs to the state at the committed offset.

use super::SOURCE_HEADER;
use crate::record::{Headers, Position};

/// Whether a changelog record is part of the committed state: its input lies below the committed
/// offset of its partition. What lies above is made again when the input is read again; taking it
/// would let the state run ahead of the outputs, and a deduplicating processor would then drop an
/// input whose output never left. A change without an input (a punctuation's) always counts.
///
/// This needs the older value of a key to be there still, hence `min.compaction.lag.ms` on
/// changelogs: what a crash left above the committed offset is younger than the lag, so it has not
/// taken its predecessor away.
pub(crate) fn is_committed(
    headers: &Headers,
    committed: impl FnOnce(&Position) -> Option<i64>,
) -> bool {
    let Some(source) = headers.text(SOURCE_HEADER).and_then(Position::parse) else {
        return true;
    };
    committed(&source).is_some_and(|committed| source.offset < committed)
}

#[cfg(test)]
mod tests {
    use super::is_committed;
    use crate::{record::Headers, task::SOURCE_HEADER};

    #[test]
    fn change_counts_when_its_input_is_below_the_committed_offset() {
        let mut headers = Headers::new();
        headers.push(SOURCE_HEADER, "topic/0/7");
        assert!(is_committed(&headers, |_| Some(8)));
        assert!(!is_committed(&headers, |_| Some(7)));
        assert!(!is_committed(&headers, |_| None));
        assert!(is_committed(&Headers::new(), |_| None), "a punctuation's change");
    }
}
