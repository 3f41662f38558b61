//! Clients of the banks' APIs behind one trait, with rate budgets.
