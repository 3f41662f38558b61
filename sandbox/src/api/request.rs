//! One request, taken apart, and its query parameters.

use clap::ValueEnum;
use jiff::Timestamp;
use reqwest::Url;
use serde_json::Value;
use warp::http::Method;

use super::answer::Refusal;

/// A request as the routes see it.
#[derive(Debug, Clone)]
pub struct Request {
    /// GET, POST, ...
    pub method: Method,
    /// The path below the host, percent-encoded as it came.
    pub path: String,
    /// Query parameters, decoded.
    pub params: Params,
    /// The token of `Authorization: Bearer ...`.
    pub bearer: Option<String>,
    /// The raw body.
    pub body: Vec<u8>,
    /// Scheme and authority that the client used, for the links in answers.
    pub origin: String,
}

impl Request {
    /// The body as JSON.
    pub fn json(&self) -> Result<Value, Refusal> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Refusal::bad_body(format!("The body is not JSON: {error}.")))
    }
}

/// Query parameters in the order they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Decodes a raw query string: `+` is a space here, so a time's `+10:00` must come as `%2B`.
    pub fn parse(query: &str) -> Self {
        let Ok(mut url) = Url::parse("http://query.invalid/") else {
            return Self::default();
        };
        url.set_query(Some(query));
        Self(url.query_pairs().into_owned().collect())
    }

    /// The first value given under `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All but those that say where in a list we are.
    pub fn without_cursor(&self) -> impl Iterator<Item = &(String, String)> {
        self.0.iter().filter(|(key, _)| key != "page[after]" && key != "page[before]")
    }

    /// One of an enum's names, as written on the wire.
    pub fn choice<T: ValueEnum>(&self, name: &str) -> Result<Option<T>, Refusal> {
        let Some(text) = self.get(name) else { return Ok(None) };
        T::from_str(text, false).map(Some).map_err(|_| {
            let values = T::value_variants().iter().filter_map(ValueEnum::to_possible_value);
            let names: Vec<_> = values.map(|value| value.get_name().to_owned()).collect();
            Refusal::bad_parameter(name, format!("Expected one of {}.", names.join(", ")))
        })
    }

    /// An RFC 3339 time in milliseconds since the epoch.
    pub fn time(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let instant: Timestamp = text.parse().map_err(|_| {
            let detail = "Expected an RFC 3339 time; the `+` of its offset is sent as `%2B`.";
            Refusal::bad_parameter(name, detail)
        })?;
        Ok(Some(instant.as_millisecond()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bank::Status;

    #[test]
    fn a_plus_in_a_time_must_be_escaped() {
        let name = "filter[since]";
        let check = |query: &str, expect| assert_eq!(Params::parse(query).time(name), expect);
        check("filter%5Bsince%5D=1970-01-01T10:00:01%2B10:00", Ok(Some(1000)));
        check("filter[since]=1970-01-01T00:00:01Z", Ok(Some(1000)));
        check("", Ok(None));
        let plus = Params::parse("filter[since]=1970-01-01T10:00:01+10:00").time(name);
        assert_eq!(plus.unwrap_err().into_answer().status, 400);
        let word = Params::parse("filter[since]=yesterday").time(name);
        assert_eq!(word.unwrap_err().into_answer().status, 400);
    }

    #[test]
    fn a_choice_is_exact() {
        let choice = |query: &str| Params::parse(query).choice::<Status>("s");
        assert_eq!(choice("s=HELD"), Ok(Some(Status::Held)));
        assert!(choice("s=held").is_err());
    }
}
