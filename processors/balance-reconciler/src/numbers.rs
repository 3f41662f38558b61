//! What is counted?

use prometheus::{IntCounterVec, Opts, Registry};

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A version entered the books.
    Booked,
    /// A version at least as high was in the books.
    Known,
    /// Deleted at the bank before the opening.
    GoneBeforeOpening,
    /// A balance was compared.
    Compared,
    /// A newer balance was known.
    Outdated,
    /// Of a source that is not reconciled here.
    OtherSource,
    /// A deletion whose account nobody knows: it cannot be booked.
    NoAccount,
}

impl Fate {
    const ALL: [Self; 7] = [
        Self::Booked,
        Self::Known,
        Self::GoneBeforeOpening,
        Self::Compared,
        Self::Outdated,
        Self::OtherSource,
        Self::NoAccount,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Booked => "booked",
            Self::Known => "known",
            Self::GoneBeforeOpening => "gone-before-opening",
            Self::Compared => "compared",
            Self::Outdated => "outdated",
            Self::OtherSource => "other-source",
            Self::NoAccount => "no-account",
        }
    }
}

/// The numbers of this application; clones count together.
#[derive(Clone, Debug)]
pub struct Numbers {
    records: IntCounterVec,
    accounts: IntCounterVec,
}

impl Numbers {
    /// Numbers at zero.
    pub fn new() -> Result<Self, prometheus::Error> {
        let records = Opts::new("records_total", "Records by what became of them");
        let records = IntCounterVec::new(records, &["fate"])?;
        for fate in Fate::ALL {
            records.with_label_values(&[fate.name()]);
        }
        let accounts = Opts::new("accounts_total", "Accounts opened, mended, found unexplained");
        let accounts = IntCounterVec::new(accounts, &["what"])?;
        for what in ["opened", "mended", "unexplained"] {
            accounts.with_label_values(&[what]);
        }
        Ok(Self { records, accounts })
    }

    /// Shows them with the others of `registry`.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.records.clone()))?;
        registry.register(Box::new(self.accounts.clone()))
    }

    /// A record.
    pub fn count(&self, fate: Fate) {
        self.records.with_label_values(&[fate.name()]).inc();
    }

    /// An account's opening was booked.
    pub fn count_opened(&self) {
        self.accounts.with_label_values(&["opened"]).inc();
    }

    /// An account's sums were taken from its rows again.
    pub fn count_mended(&self) {
        self.accounts.with_label_values(&["mended"]).inc();
    }

    /// An account outlived its quiet period with a difference.
    pub fn count_unexplained(&self) {
        self.accounts.with_label_values(&["unexplained"]).inc();
    }

    #[cfg(test)]
    pub(crate) fn counted(&self, fate: Fate) -> u64 {
        self.records.with_label_values(&[fate.name()]).get()
    }
}
