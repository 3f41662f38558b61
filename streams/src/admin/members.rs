//! Who of a group reads what.

use std::collections::BTreeSet;

use super::{Admin, AdminError, REQUEST_TIMEOUT};

/// A topic and one of its partitions.
pub(crate) type Place = (String, i32);

/// A group of the classic protocol that is at rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shares {
    /// The members' client ids.
    pub(crate) members: BTreeSet<String>,
    /// The partitions that one of them has.
    pub(crate) read: BTreeSet<Place>,
}

impl Admin {
    /// What the members of `group` have; `None` while it is not at rest, has no members, or says it in
    /// a way that cannot be read.
    pub(crate) async fn shares(&self, group: &str) -> Result<Option<Shares>, AdminError> {
        let (this, group) = (self.clone(), group.to_owned());
        let asked = tokio::task::spawn_blocking(move || {
            let found = this.client.inner().fetch_group_list(Some(&group), REQUEST_TIMEOUT);
            let found =
                found.map_err(|source| this.error(format!("describe group `{group}`"), source))?;
            let Some(info) = found.groups().iter().find(|info| info.name() == group) else {
                return Ok(None);
            };
            if info.state() != "Stable" || info.members().is_empty() {
                return Ok(None);
            }
            let mut shares = Shares { members: BTreeSet::new(), read: BTreeSet::new() };
            for member in info.members() {
                shares.members.insert(member.client_id().to_owned());
                let Some(places) = assignment(member.assignment().unwrap_or_default()) else {
                    return Ok(None);
                };
                shares.read.extend(places);
            }
            Ok(Some(shares))
        });
        asked.await?
    }
}

/// The partitions of a member, as clients write them: version, then topics with their partitions, then
/// what the assignor keeps for itself. All big endian.
fn assignment(bytes: &[u8]) -> Option<Vec<Place>> {
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    let mut rest = bytes.get(2..)?;
    let mut places = Vec::new();
    for _ in 0..i32::from_be_bytes(take(&mut rest)?) {
        let length = usize::try_from(i16::from_be_bytes(take(&mut rest)?)).ok()?;
        let (name, after) = rest.split_at_checked(length)?;
        let name = std::str::from_utf8(name).ok()?;
        rest = after;
        for _ in 0..i32::from_be_bytes(take(&mut rest)?) {
            places.push((name.to_owned(), i32::from_be_bytes(take(&mut rest)?)));
        }
    }
    Some(places)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::assignment;

    #[test]
    fn what_a_member_has_is_read_as_clients_write_it_or_not_at_all() {
        let bytes = [
            &[0, 1, 0, 0, 0, 2][..],
            &[0, 2, b'i', b'n', 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 7],
            &[0, 1, b'x', 0, 0, 0, 1, 0, 0, 0, 3],
            &[0, 0, 0, 2, 9, 9],
        ]
        .concat();
        let found = assignment(&bytes).unwrap();
        let found: Vec<_> = found.iter().map(|(topic, at)| (topic.as_str(), *at)).collect();
        assert_eq!(found, [("in", 0), ("in", 7), ("x", 3)]);
        assert_eq!(assignment(&[]), Some(Vec::new()), "a member without a share");
        // What the assignor keeps for itself may be missing; all that is before it may not.
        let whole = bytes.len() - 6;
        for cut in 1..whole {
            assert_eq!(assignment(bytes.get(..cut).unwrap()), None, "{cut} bytes");
        }
        assert!(assignment(bytes.get(..whole).unwrap()).is_some());
        assert_eq!(assignment(&[0, 1, 0, 0, 0, 1, 0xff, 0xff]), None, "a topic without a name");
    }
}
