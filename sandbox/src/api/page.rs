//! Cursor pagination: pages that stay right while the list grows.
//!
//! A cursor holds the order key of an item, not a number of items, so an entry that appears between
//! two requests neither repeats nor hides another one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::answer::{Answer, Refusal};
use super::request::Params;

/// Items on a page when the client does not say.
const SIZE_DEFAULT: usize = 20;
/// Most items on a page.
const SIZE_MAX: usize = 100;

const SIZE: &str = "page[size]";
const AFTER: &str = "page[after]";
const BEFORE: &str = "page[before]";

/// Cuts a page out of a list. `items` come in the list's order with keys that ascend in it;
/// `address` is the list's own URL, from which the links to its neighbours are made.
pub(super) fn page<K, T>(
    params: &Params,
    address: &str,
    items: Vec<(K, T)>,
    resource: impl Fn(T) -> Value,
) -> Result<Answer, Refusal>
where
    K: Ord + Serialize + DeserializeOwned,
{
    let size = size(params)?;
    let (after, before) = (cursor::<K>(params, AFTER)?, cursor::<K>(params, BEFORE)?);
    let (start, end) = match (after, before) {
        (Some(_), Some(_)) => {
            return Err(Refusal::bad_parameter(BEFORE, "Not together with `page[after]`."));
        }
        (Some(key), None) => {
            let start = items.partition_point(|(other, _)| *other <= key);
            (start, items.len().min(start + size))
        }
        (None, Some(key)) => {
            let end = items.partition_point(|(other, _)| *other < key);
            (end.saturating_sub(size), end)
        }
        (None, None) => (0, items.len().min(size)),
    };
    let shown = start < end;
    let prev = (shown && start > 0).then(|| link(params, address, BEFORE, &items[start].0));
    let next =
        (shown && end < items.len()).then(|| link(params, address, AFTER, &items[end - 1].0));
    let links = json!({ "prev": prev.flatten(), "next": next.flatten() });
    let data: Vec<_> =
        items.into_iter().skip(start).take(end - start).map(|(_, item)| resource(item)).collect();
    Ok(Answer::ok(json!({ "data": data, "links": links })))
}

fn size(params: &Params) -> Result<usize, Refusal> {
    let Some(text) = params.get(SIZE) else { return Ok(SIZE_DEFAULT) };
    let size = text.parse().ok().filter(|size| (1..=SIZE_MAX).contains(size));
    size.ok_or_else(|| Refusal::bad_parameter(SIZE, format!("Expected 1 to {SIZE_MAX}.")))
}

fn cursor<K: DeserializeOwned>(params: &Params, name: &str) -> Result<Option<K>, Refusal> {
    let Some(text) = params.get(name) else { return Ok(None) };
    let key = STANDARD.decode(text).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let unknown = || Refusal::bad_parameter(name, "Expected a cursor from a link of this list.");
    key.map(Some).ok_or_else(unknown)
}

/// `None` only if the address were no URL or the key no JSON, which neither is.
fn link<K: Serialize>(params: &Params, address: &str, name: &str, key: &K) -> Option<String> {
    let mut url = Url::parse(address).ok()?;
    let cursor = STANDARD.encode(serde_json::to_vec(key).ok()?);
    let mut pairs: Vec<_> = params.without_cursor().cloned().collect();
    pairs.push((name.to_owned(), cursor));
    pairs.sort();
    url.query_pairs_mut().extend_pairs(pairs);
    Some(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(items: &[u32], query: &str) -> Value {
        let items = items.iter().map(|n| (*n, *n)).collect();
        let answer = page(&Params::parse(query), "http://h/list", items, |n| json!(n)).unwrap();
        answer.body.unwrap()
    }

    fn query_of(link: &Value) -> String {
        Url::parse(link.as_str().unwrap()).unwrap().query().unwrap().to_owned()
    }

    #[test]
    fn following_next_visits_everything_once_and_prev_leads_back() {
        let items: Vec<_> = (0..7).collect();
        let first = get(&items, "page[size]=3&filter[x]=a+b");
        assert_eq!((&first["data"], &first["links"]["prev"]), (&json!([0, 1, 2]), &Value::Null));
        let second = get(&items, &query_of(&first["links"]["next"]));
        assert_eq!(second["data"], json!([3, 4, 5]));
        let third = get(&items, &query_of(&second["links"]["next"]));
        assert_eq!((&third["data"], &third["links"]["next"]), (&json!([6]), &Value::Null));
        let back = get(&items, &query_of(&second["links"]["prev"]));
        assert_eq!(back["data"], first["data"]);
        assert!(query_of(&first["links"]["next"]).contains("filter%5Bx%5D=a+b"));
    }

    #[test]
    fn an_item_that_appears_between_two_pages_repeats_nothing() {
        let first = get(&[10, 20, 30, 40], "page[size]=2");
        let second = get(&[5, 10, 20, 30, 40], &query_of(&first["links"]["next"]));
        assert_eq!(second["data"], json!([30, 40]));
    }

    #[test]
    fn an_exact_fit_has_no_next_page() {
        let links = |query| get(&[1, 2], query)["links"].clone();
        assert_eq!(links("page[size]=2"), json!({ "prev": null, "next": null }));
        assert_eq!(get(&[], "")["links"], json!({ "prev": null, "next": null }));
    }

    #[test]
    fn sizes_and_cursors_that_make_no_sense_are_refused() {
        for query in [
            "page[size]=0",
            "page[size]=101",
            "page[size]=x",
            "page[size]=-1",
            "page[after]=x",
            "page[before]=%21",
            "page[after]=MQ==&page[before]=MQ==",
        ] {
            let refused = page(&Params::parse(query), "http://h/", vec![(1, 1)], |n| json!(n));
            assert_eq!(refused.unwrap_err().into_answer().status, 400, "{query}");
        }
    }
}
