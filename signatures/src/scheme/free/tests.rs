use super::*;

fn read(table: &str) -> Result<Scheme, String> {
    let table: FreeScheme = toml::from_str(table).map_err(|error| error.to_string())?;
    table.scheme("partner").map_err(|error| error.to_string())
}

#[test]
fn known_schemes_can_be_written_down() {
    #[track_caller]
    fn check(table: &str, expect: Scheme) {
        assert_eq!(read(table), Ok(Scheme { name: "partner".into(), ..expect }));
    }
    check(
        "header = \"Stripe-Signature\"\nsigned = \"{timestamp}.{body}\"\n\
         algorithm = \"hmac-sha256\"\nparse = { pairs = { timestamp = \"t\", signature = \"v1\" } }",
        Scheme::stripe(),
    );
    check(
        "header = \"x-hub-signature-256\"\nsigned = \"{body}\"\nalgorithm = \"hmac-sha256\"\n\
         parse = { prefix = \"sha256=\" }",
        Scheme::github(),
    );
    check(
        "header = \"x-demoz-signature\"\nsigned = \"{timestamp}.{header:X-Demoz-Nonce}.{body}\"\n\
         algorithm = \"hmac-sha256\"\n\
         timestamp = { header = \"X-Demoz-Timestamp\", form = \"rfc3339\" }",
        Scheme::demoz(),
    );
}

#[test]
fn a_template_that_leaves_a_way_around_the_signature_is_refused() {
    #[track_caller]
    fn check(rest: &str, expect: &str) {
        let error = read(&format!("algorithm = \"hmac-sha256\"\n{rest}")).unwrap_err();
        assert!(error.contains(expect), "`{error}` should contain `{expect}`");
    }
    check("header = \"x\"\nsigned = \"{timestamp}.{body}\"", "both have the time, or neither");
    check("header = \"x\"\nsigned = \"{body}.\"", "must end");
    check("header = \"x\"\nsigned = \"{body}{body}\"", "fixed text after `{body}`");
    check("header = \"x\"\nsigned = \"{header:a}{body}\"", "fixed text after `{header:a}`");
    check("header = \"x\"\nsigned = \"{header:a b}.{body}\"", "no header name");
    check("header = \"x\"\nsigned = \"{url}{body}\"", "`{url`");
    check("header = \"x\"\nsigned = \"{body\"", "`{body` in `signed`");
    check("header = \"x\"\nsigned = \"v1\"", "must end");
    check("header = \"\"\nsigned = \"{body}\"", "no header name");
    check("header = \"x\"\nsigned = \"{body}\"\nparse = { prefix = \"\" }", "names nothing");
    check(
        "header = \"x\"\nsigned = \"{body}\"\ntimestamp = { header = \"y\" }",
        "both have the time, or neither",
    );
    check("header = \"x\"\nsigned = \"{body}\"\nkey = \"rot13\"", "`utf8`");
    check("header = \"x\"\nsigned = \"{body}\"\nkey = \"public\"", "does not go with");
    check("header = \"x\"", "`signed` is missing");
    check("header = \"x\"\nparse = \"jwt\"", "algorithm of public keys");
    check(
        "header = \"x\"\nsigned = \"{timestamp}0{body}\"\ntimestamp = { header = \"y\" }",
        "the text `0` after `{timestamp}`",
    );
    check("header = \"x\"\nsigned = \"{object}.{body}\"", "must end");
    check("header = \"x\"\nsigned = \"{header:a}{object}\"", "fixed text after `{header:a}`");
}

#[test]
fn a_layout_of_the_header_that_can_be_read_in_two_ways_is_refused() {
    #[track_caller]
    fn check(parse: &str, rest: &str, expect: &str) {
        let table = format!(
            "header = \"x\"\nalgorithm = \"hmac-sha256\"\nsigned = \"{{timestamp}}.{{body}}\"\n\
             parse = {parse}\n{rest}"
        );
        let error = read(&table).unwrap_err();
        assert!(error.contains(expect), "`{error}` should contain `{expect}`");
    }
    let timed = "timestamp = { header = \"y\" }";
    for wrong in [
        "",
        "v1",
        "{timestamp}",
        "{timestamp}{signature}",
        "{signature}.{timestamp}",
        "{timestamp}.{timestamp}.{signature}",
        "{signature}.",
        "{signatures:}",
        "{signatures:, }",
        "{signatures}",
        "{id}.{signature}",
        "é{signature}",
    ] {
        check(&format!("{{ template = \"{wrong}\" }}"), "", "`parse`; expected fixed text");
    }
    let time_end = "a character that a time of this form has";
    check("{ template = \"{timestamp}0{signature}\" }", "", time_end);
    let rfc3339 = "timestamp = { form = \"rfc3339\" }";
    check("{ template = \"{timestamp}.{signature}\" }", rfc3339, time_end);
    check("{ template = \"{timestamp}.{signature}\" }", timed, "both have the time, or neither");
    let between = "cannot stand between signatures";
    check("{ template = \"{signatures:a}\" }", timed, between);
    check(
        "{ template = \"{signatures:=}\" }",
        &format!("{timed}\nsignature = \"base64\""),
        between,
    );
    check(
        "{ template = \"{signatures:-}\" }",
        &format!("{timed}\nsignature = \"base64url\""),
        between,
    );
    check(
        "{ pairs = { timestamp = \"t\", signature = \"t\" } }",
        "",
        "`t` in `parse` is there twice",
    );
    check("{ pairs = { signature = [\"a\", \"a\"] } }", timed, "`a` in `parse` is there twice");
    check("{ pairs = { signature = \"a=b\" } }", timed, "`a=b` in `parse`");
    check("{ pairs = { signature = [] } }", timed, "names nothing");
    check("{ pairs = { signature = \"v1\" } }", "", "both have the time, or neither");
    check("{ versions = [\"v1\", \"v1\"] }", timed, "`v1` in `parse` is there twice");
    check("{ versions = [] }", timed, "names nothing");
}

#[test]
fn one_layout_is_one_scheme_however_it_is_written_down() {
    let of = |parse: &str| {
        read(&format!(
            "header = \"x\"\nalgorithm = \"hmac-sha256\"\nsigned = \"{{body}}\"\n{parse}"
        ))
    };
    assert_eq!(of("parse = { template = \"{signature}\" }"), of("parse = \"plain\""));
    assert_eq!(
        of("parse = { template = \"sha256={signature}\" }"),
        of("parse = { prefix = \"sha256=\" }")
    );
    let of = |names: &str| {
        of(&format!(
            "timestamp = {{ header = \"y\" }}\nparse = {{ pairs = {{ signature = {names} }} }}"
        )
        .replace("{body}", "{timestamp}.{body}"))
    };
    assert_eq!(of("\"v1\""), of("[\"v1\"]"));
}

#[test]
fn a_partner_with_public_keys_can_be_written_down() {
    #[track_caller]
    fn check(table: &str, expect: Scheme) {
        assert_eq!(read(table), Ok(Scheme { name: "partner".into(), ..expect }));
    }
    #[track_caller]
    fn refused(rest: &str, expect: &str) {
        let error = read(&format!("header = \"x\"\n{rest}")).unwrap_err();
        assert!(error.contains(expect), "`{error}` should contain `{expect}`");
    }
    check(
        "header = \"Plaid-Verification\"\nparse = \"jwt\"\nalgorithm = \"es256\"",
        Scheme::plaid(),
    );
    check(
        "header = \"x-signature-sha256\"\nsigned = \"{body}\"\nalgorithm = \"rsa-sha256\"\n\
         signature = \"base64\"",
        Scheme::wise(),
    );
    refused("algorithm = \"rsa-sha256\"\nsigned = \"{body}\"\nkey = \"utf8\"", "`key`");
    refused("algorithm = \"es256\"\nparse = \"jwt\"\nsigned = \"{body}\"", "without");
    refused("algorithm = \"es256\"\nparse = \"jwt\"\nsignature = \"hex\"", "without");
    refused("algorithm = \"none\"\nparse = \"jwt\"", "unknown variant");
    refused("algorithm = \"rsa-sha256-twice\"\nparse = \"jwt\"", "without");
}
