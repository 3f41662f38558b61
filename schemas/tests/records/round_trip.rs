//! Whatever is written is read back, whole or not at all.

use std::fmt::Debug;

use apache_avro::AvroSchema;
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{codec, records};

/// Both ways of reading give the record back, and no shorter input is taken for a record.
fn check<T>(record: &T) -> Result<(), TestCaseError>
where
    T: AvroSchema + Serialize + DeserializeOwned + PartialEq + Debug,
{
    let datum = codec::encode(record);
    let direct = codec::decode::<T>(&datum);
    prop_assert_eq!(direct.as_ref(), Ok(record));
    let resolved = codec::decode_resolving::<T>(&T::get_schema(), &datum);
    prop_assert_eq!(resolved.as_ref(), Ok(record));
    for cut in 0..datum.len() {
        let part = datum.get(..cut).expect("cut is inside");
        prop_assert!(codec::decode::<T>(part).is_err(), "{cut} of {} bytes", datum.len());
    }
    Ok(())
}

proptest! {
    // Every case also tries every cut of the datum.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn webhook_received_survives_for_any_content(record in records::webhook_received()) {
        check(&record)?;
    }

    #[test]
    fn transaction_enriched_survives_for_any_content(record in records::transaction_enriched()) {
        check(&record)?;
    }

    #[test]
    fn account_observed_survives_for_any_content(record in records::account_observed()) {
        check(&record)?;
    }

    #[test]
    fn balance_reconciled_survives_for_any_content(record in records::balance_reconciled()) {
        check(&record)?;
    }

    #[test]
    fn coin_trigger_survives_for_any_content(record in records::coin_trigger()) {
        check(&record)?;
    }

    #[test]
    fn post_requested_survives_for_any_content(record in records::post_requested()) {
        check(&record)?;
    }

    #[test]
    fn post_published_survives_for_any_content(record in records::post_published()) {
        check(&record)?;
    }

    #[test]
    fn garbage_is_an_error_or_a_record_but_not_a_panic(
        datum in proptest::collection::vec(any::<u8>(), 0..256),
    ) {
        // Errors are the usual answer; a lucky datum may be a record. Either way it must return.
        if let Ok(record) = codec::decode::<schemas::CoinTrigger>(&datum) {
            check(&record)?;
        }
        if let Ok(record) = codec::decode::<schemas::TransactionEnriched>(&datum) {
            check(&record)?;
        }
    }
}
