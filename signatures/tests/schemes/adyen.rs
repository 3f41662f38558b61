//! Adyen's items: no change of a signed field is accepted, whatever else changes.

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use signatures::{Header, Reason, Scheme, Secret, Signer, Verifier};

const KEY: &str = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056";
const OTHER_KEY: &str = "54782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056";

fn judge(key: &str, body: &[u8]) -> Result<String, Reason> {
    let keys = vec![("only".to_owned(), Secret::new(key).unwrap())];
    let verifier = Verifier::new(Scheme::adyen(), keys).unwrap();
    verifier.verify(&[] as &[Header], body, 0).map(|it| it.key_id)
}

fn signed(items: &[Value]) -> Vec<u8> {
    let items: Vec<_> =
        items.iter().map(|item| json!({ "NotificationRequestItem": item })).collect();
    let body = json!({ "live": "false", "notificationItems": items }).to_string();
    let signer = Signer::new(Scheme::adyen(), &Secret::new(KEY).unwrap()).unwrap();
    signer.sign_items(body.as_bytes()).unwrap()
}

/// The signed fields of every item, by another reader than the one under test.
fn fields(body: &[u8]) -> Option<Vec<String>> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let items = body["notificationItems"].as_array()?.iter();
    let text = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => format!("{text:?}"),
        other => other.to_string(),
    };
    let of = |wrapped: &Value| {
        let item = &wrapped["NotificationRequestItem"];
        let amount = [&item["amount"]["value"], &item["amount"]["currency"]];
        let names = [
            "pspReference",
            "originalReference",
            "merchantAccountCode",
            "merchantReference",
            "eventCode",
            "success",
        ];
        // an empty field and one that is not there are the same
        let fields = names.iter().map(|name| &item[*name]).chain(amount).map(text);
        fields.map(|text| if text == "\"\"" { String::new() } else { text }).collect::<Vec<_>>()
    };
    Some(items.flat_map(of).collect())
}

#[test]
fn a_body_of_the_maximum_size_is_read_like_any_other() {
    let item = json!({ "pspReference": "P", "reason": "x".repeat(1 << 20) });
    let body = signed(&[item]);
    assert_eq!(judge(KEY, &body), Ok("only".to_owned()));
    let changed = String::from_utf8(body).unwrap().replace("\"P\"", "\"Q\"");
    assert_eq!(judge(KEY, changed.as_bytes()), Err(Reason::SignatureMismatch));
}

/// While a key is exchanged, who puts items together may have some of the old and some of the new one.
#[test]
fn items_of_two_active_keys_are_accepted_and_the_first_item_s_key_is_told() {
    let items: Vec<Value> = [KEY, OTHER_KEY]
        .map(|key| {
            let body = json!({ "notificationItems": [{ "NotificationRequestItem": {
                "pspReference": key.get(..1), "success": "true",
            } }] });
            let signer = Signer::new(Scheme::adyen(), &Secret::new(key).unwrap()).unwrap();
            let body = signer.sign_items(body.to_string().as_bytes()).unwrap();
            serde_json::from_slice::<Value>(&body).unwrap()["notificationItems"][0].clone()
        })
        .into();
    let judge = |items: &[Value], keys: &[(&str, &str)]| {
        let secret = |key: &str| Secret::new(key).unwrap();
        let keys = keys.iter().map(|(id, key)| ((*id).to_owned(), secret(key))).collect();
        let body = json!({ "notificationItems": items }).to_string();
        let verifier = Verifier::new(Scheme::adyen(), keys).unwrap();
        verifier.verify(&[] as &[Header], body.as_bytes(), 0).map(|it| it.key_id)
    };
    let both = [("old", KEY), ("new", OTHER_KEY)];
    assert_eq!(judge(&items, &both), Ok("old".to_owned()));
    let turned: Vec<_> = items.iter().rev().cloned().collect();
    assert_eq!(judge(&turned, &both), Ok("new".to_owned()));
    for key in both {
        assert_eq!(judge(&items, &[key]), Err(Reason::SignatureMismatch), "one of them is not its");
    }
    let mut changed = items;
    changed[1]["NotificationRequestItem"]["success"] = "false".into();
    assert_eq!(judge(&changed, &both), Err(Reason::SignatureMismatch));
}

prop_compose! {
    fn item()(
        psp in "[A-Z0-9]{0,16}", original in "[A-Z0-9]{0,16}", account in "[A-Za-z ]{0,12}",
        reference in "\\PC{0,20}", value: i64, currency in "[A-Z]{3}",
        event in "[A-Z_]{0,12}", success in "true|false", other in "\\PC{0,8}",
    ) -> Value {
        json!({
            "pspReference": psp, "originalReference": original, "merchantAccountCode": account,
            "merchantReference": reference, "amount": { "value": value, "currency": currency },
            "eventCode": event, "success": success, "reason": other,
        })
    }
}

fn items() -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec(item(), 1..4)
}

proptest! {
    #[test]
    fn what_is_signed_is_accepted_and_under_no_other_key(items in items()) {
        let body = signed(&items);
        prop_assert_eq!(judge(KEY, &body), Ok("only".to_owned()));
        prop_assert_eq!(judge(OTHER_KEY, &body), Err(Reason::SignatureMismatch));
    }

    #[test]
    fn no_changed_byte_alters_what_is_signed(items in items(), at: Index, by in 1_u8..) {
        let body = signed(&items);
        let mut changed = body.clone();
        changed[at.index(body.len())] ^= by;
        if judge(KEY, &changed).is_ok() {
            prop_assert_eq!(fields(&changed), fields(&body));
        }
    }

    #[test]
    fn no_changed_field_is_accepted(items in items(), which: Index, field in 0..8_usize, with in "[a-z]{1,4}") {
        let mut body: Value = serde_json::from_slice(&signed(&items)).unwrap();
        let item = &mut body["notificationItems"][which.index(items.len())]["NotificationRequestItem"];
        let names = [
            "pspReference", "originalReference", "merchantAccountCode", "merchantReference",
            "eventCode", "success",
        ];
        match names.get(field) {
            Some(name) => item[*name] = format!("{}{with}", item[*name].as_str().unwrap()).into(),
            None if field == 6 => item["amount"]["currency"] = with.into(),
            None => {
                let value = item["amount"]["value"].as_i64().unwrap();
                item["amount"]["value"] = value.wrapping_add(1).into();
            }
        }
        let changed = body.to_string();
        prop_assert_eq!(judge(KEY, changed.as_bytes()), Err(Reason::SignatureMismatch));
    }

    #[test]
    fn no_characters_moved_between_two_fields_are_accepted(items in items(), pair in 0..5_usize, at: Index) {
        let names = [
            "pspReference", "originalReference", "merchantAccountCode", "merchantReference",
            "eventCode", "success",
        ];
        let mut body: Value = serde_json::from_slice(&signed(&items)).unwrap();
        let item = &mut body["notificationItems"][0]["NotificationRequestItem"];
        let (left, right) = (names[pair], names[pair + 1]);
        let joined = format!("{}:{}", item[left].as_str().unwrap(), item[right].as_str().unwrap());
        let cuts: Vec<_> = joined.char_indices().map(|(at, _)| at).collect();
        let (head, tail) = joined.split_at(*at.get(&cuts));
        let moved = (head.to_owned(), tail.strip_prefix(':').unwrap_or(tail).to_owned());
        prop_assume!(item[left] != moved.0.as_str() || item[right] != moved.1.as_str());
        item[left] = moved.0.into();
        item[right] = moved.1.into();
        prop_assert!(judge(KEY, body.to_string().as_bytes()).is_err());
    }

    #[test]
    fn no_item_is_added_or_left_out_of_the_check(items in items(), stranger in item(), at: Index) {
        let mut body: Value = serde_json::from_slice(&signed(&items)).unwrap();
        let list = body["notificationItems"].as_array_mut().unwrap();
        list.insert(at.index(list.len() + 1), json!({ "NotificationRequestItem": stranger }));
        prop_assert_eq!(judge(KEY, body.to_string().as_bytes()), Err(Reason::MissingHeaders));
    }
}
