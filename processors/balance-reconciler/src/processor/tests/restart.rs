//! A process that dies leaves some of its last writes and loses others.

use super::*;

const BOTH: [Guarantee; 2] = [Guarantee::ExactlyOnce, Guarantee::AtLeastOnce];

#[test]
fn a_restart_between_commits_books_nothing_twice() {
    for guarantee in BOTH {
        let mut app = App::opened_under(guarantee);
        app.version("transaction-1", "SETTLED", -1_000);
        app.driver.hold_commits();
        app.version("transaction-2", "SETTLED", -50);
        app.look(8_950);
        app.driver.restart().expect("restarts");
        assert_eq!(app.last_said(), Some(said(8_950, 8_950, 0, "balanced")));
        assert_eq!(app.bank.requests(), 3, "the opening is not made again");
    }
}

#[test]
fn an_opening_that_was_not_committed_is_made_again() {
    for guarantee in BOTH {
        let mut app = App::under(guarantee);
        app.bank.list("transaction-1", "HELD", -500, app.driver.now() - 60_000);
        app.driver.hold_commits();
        app.look(10_000);
        // meanwhile the hold expires, and the bank has the money back
        app.bank.unlist("transaction-1");
        app.bank.set_balance(10_500);
        app.driver.restart().expect("restarts");
        assert_eq!(app.last_said(), Some(said(10_500, 10_500, 0, "balanced")));
        // the rows of the first opening are in the changelog, and say nothing
        app.driver.restart().expect("restarts");
        app.version("transaction-2", "SETTLED", -100);
        app.look(10_400);
        assert_eq!(app.last_said(), Some(said(10_400, 10_400, 0, "balanced")));
    }
}

/// Another account's record that waits for the bank holds back the offset of one topic, while the
/// other topic's is committed: after a restart the page is younger than the rows.
#[test]
fn a_page_that_outlived_its_rows_is_mended_from_them() {
    for guarantee in BOTH {
        let mut app = App::opened_under(guarantee);
        app.bank.fail("account-2", BankError::RateLimited { reset_at: 0, wait: QUIET });
        let mut waiting = enriched("SETTLED", -1, app.driver.now());
        waiting.account_id = Some("account-2".to_owned());
        app.pipe(&waiting);
        app.version("transaction-1", "SETTLED", -1_000);
        app.look(9_000);
        let committed = |topic| app.driver.committed(topic);
        assert_eq!(committed(topics::TRANSACTIONS_ENRICHED), Some(0), "held back");
        assert_eq!(committed(topics::ACCOUNTS_OBSERVED), Some(2));
        app.driver.restart().expect("restarts");
        app.look(9_000);
        assert_eq!(app.last_said(), Some(said(9_000, 9_000, 0, "balanced")));
        app.driver.advance(QUIET);
        assert_eq!(app.said(), [], "nothing was booked twice or lost");
    }
}

/// What is finished ahead of a record that waits is committed with the offset that is held back, so
/// neither page nor rows are lost by a restart.
#[test]
fn an_opening_is_kept_while_another_account_holds_its_topic_back() {
    for guarantee in BOTH {
        let mut app = App::under(guarantee);
        app.bank.list("transaction-1", "SETTLED", -2_000, app.driver.now() - 60_000);
        app.bank.fail("account-2", BankError::RateLimited { reset_at: 0, wait: QUIET });
        let mut waiting = enriched("SETTLED", -1, app.driver.now());
        waiting.account_id = Some("account-2".to_owned());
        app.pipe(&waiting);
        app.version("transaction-1", "SETTLED", -2_000);
        app.look(9_000);
        let requests = app.bank.requests();
        app.driver.restart().expect("restarts");
        app.look(9_000);
        assert_eq!(app.last_said(), Some(said(10_000, 9_000, 0, "timing")));
        assert_eq!(app.bank.requests(), requests + 1, "the other account's only");
    }
}

#[test]
fn a_judgement_survives_a_restart_and_what_waits_is_given_time_again() {
    for guarantee in BOTH {
        let mut app = App::opened_under(guarantee);
        app.look(9_000);
        app.driver.advance(QUIET);
        assert_eq!(app.last_said(), Some(said(10_000, 9_000, -1_000, "unexplained")));
        app.driver.restart().expect("restarts");
        app.look(8_990);
        assert_eq!(app.last_said(), Some(said(10_000, 8_990, -1_000, "unexplained")));
        app.driver.restart().expect("restarts");
        app.driver.advance(Duration::from_mins(1));
        assert_eq!(app.said(), [], "we have been reading for a minute only");
        app.driver.advance(Duration::from_secs(62));
        assert_eq!(app.said(), [said(10_000, 8_990, -1_010, "unexplained")]);
    }
}
