//! The known name a mistyped one was probably meant to be.

/// The name among `known` that is most like `name`, unless none is like it.
pub(super) fn name<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a (impl AsRef<str> + ?Sized + 'a)>,
) -> Option<&'a str> {
    // more different than a third of its letters, and the guess would mislead
    let distance_max = (name.chars().count() / 3).max(2);
    known
        .into_iter()
        .map(|candidate| (distance(name, candidate.as_ref()), candidate.as_ref()))
        .filter(|(distance, _)| *distance <= distance_max)
        .min()
        .map(|(_, candidate)| candidate)
}

/// `; did you mean ...?`, or nothing.
pub(super) fn hint(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

/// Letters to insert, delete or replace to get from one to the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, letter) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{distance, name};

    #[test]
    fn distance_counts_inserted_deleted_and_replaced_letters() {
        fn check(from: &str, to: &str, expect: usize) {
            assert_eq!(distance(from, to), expect, "{from} -> {to}");
        }
        check("", "", 0);
        check("", "abc", 3);
        check("abc", "", 3);
        check("partitons", "partitions", 1);
        check("kitten", "sitting", 3);
    }

    #[test]
    fn nearest_name_is_offered_only_when_it_is_near() {
        let known = ["partitions", "retention", "cleanup"];
        assert_eq!(name("partition", known), Some("partitions"));
        assert_eq!(name("colour", known), None);
    }
}
