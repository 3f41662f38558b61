//! Topic names. `tests/tidy` pins each to its declaration in `topology.toml`.

/// Requests the ingress accepted. Key: source and subject id.
pub const WEBHOOKS_RECEIVED: &str = "bank.webhooks.received.v1";
/// Requests the ingress rejected, where somebody asked for them. Key: source.
pub const WEBHOOKS_REJECTED: &str = "bank.webhooks.rejected.v1";
/// Changes of transactions. Key: account id.
pub const TRANSACTIONS_ENRICHED: &str = "bank.transactions.enriched.v1";
/// Balances as the bank states them. Key: account id.
pub const ACCOUNTS_OBSERVED: &str = "bank.accounts.observed.v1";
/// The books beside the bank's balance. Key: account id.
pub const BALANCES_RECONCILED: &str = "bank.balances.reconciled.v1";
/// Coins dropped and taken back. Key: rule and transaction id.
pub const TRIGGERS_FIRED: &str = "coin.triggers.fired.v1";
/// Posts asked for. Key: post id.
pub const POSTS_REQUESTED: &str = "social.posts.requested.v1";
/// What became of posts. Key: post id.
pub const POSTS_PUBLISHED: &str = "social.posts.published.v1";
