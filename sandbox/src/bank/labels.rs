//! Categories and tags on transactions.

use std::collections::BTreeSet;

use super::{Bank, Error, TAG_CHARS_MAX, TAGS_MAX, category};

impl Bank {
    /// Sets or clears a transaction's category.
    pub fn categorize(&mut self, transaction: &str, id: Option<&str>) -> Result<(), Error> {
        let found = id
            .map(|id| category::find(id).ok_or_else(|| Error::CategoryNotFound(id.to_owned())))
            .transpose()?;
        if let Some(parent) = found.filter(|category| category.parent.is_none()) {
            return Err(Error::ParentCategory(parent.id.to_owned()));
        }
        let transaction = self.live_mut(transaction)?;
        if !transaction.is_categorizable() {
            return Err(Error::NotCategorizable(transaction.id.clone()));
        }
        transaction.category = found.map(|category| category.id.to_owned());
        Ok(())
    }

    /// Adds tags; those already there count once.
    pub fn tag(&mut self, transaction: &str, tags: &[String]) -> Result<(), Error> {
        let fits = |tag: &String| !tag.is_empty() && tag.chars().count() <= TAG_CHARS_MAX;
        if !tags.iter().all(fits) {
            return Err(Error::BadTag);
        }
        let transaction = self.live_mut(transaction)?;
        let all: BTreeSet<_> = transaction.tags.iter().chain(tags).cloned().collect();
        if all.len() > TAGS_MAX {
            return Err(Error::TooManyTags);
        }
        transaction.tags = all.into_iter().collect();
        Ok(())
    }

    /// Removes tags; those not there are passed over.
    pub fn untag(&mut self, transaction: &str, tags: &[String]) -> Result<(), Error> {
        self.live_mut(transaction)?.tags.retain(|tag| !tags.contains(tag));
        Ok(())
    }

    /// Tags on at least one live transaction, sorted.
    pub fn tags(&self) -> BTreeSet<&str> {
        self.live.values().flat_map(|transaction| &transaction.tags).map(String::as_str).collect()
    }
}
