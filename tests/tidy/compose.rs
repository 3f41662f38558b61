//! The container files, as far as a machine without a container engine can check them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;

use crate::declarations::declared;
use crate::layers::workspace;
use crate::tree;
use crate::{assert_clean, assert_found};

const COMPOSE: &str = "docker/compose.yaml";

/// The blocks of a mapping that is indented by two blanks below a top-level key. Our compose file
/// is written so that this is enough; a full parser would be the largest dependency of these tests.
fn blocks(text: &str, key: &str) -> BTreeMap<String, String> {
    let mut blocks: BTreeMap<String, String> = BTreeMap::new();
    let mut inside = false;
    let mut name = String::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        if !line.starts_with(' ') && !line.is_empty() {
            inside = line.starts_with(&format!("{key}:"));
            continue;
        }
        let is_key = line.starts_with("  ") && !line.starts_with("   ");
        if inside && is_key {
            line.trim().trim_end_matches(':').clone_into(&mut name);
        }
        if inside && !name.is_empty() {
            let block = blocks.entry(name.clone()).or_default();
            block.push_str(line);
            block.push('\n');
        }
    }
    blocks
}

/// The block of a top-level key, for the `x-…` parts that services share.
fn shared(text: &str, anchor: &str) -> String {
    let mut found = String::new();
    let mut inside = false;
    for line in text.lines() {
        if !line.starts_with(' ') && !line.is_empty() {
            inside = line.ends_with(&format!("&{anchor}"));
        } else if inside {
            found.push_str(line);
            found.push('\n');
        }
    }
    found
}

/// A service's block with the shared parts it merges.
fn merged(text: &str, block: &str) -> String {
    let mut whole = block.to_owned();
    for line in block.lines() {
        if let Some(list) = line.trim().strip_prefix("<<:") {
            for anchor in list.split([' ', ',', '[', ']']).filter_map(|word| word.strip_prefix('*'))
            {
                let part = shared(text, anchor);
                whole.push_str(&merged(text, &part));
            }
        }
    }
    whole
}

/// What a service lacks.
fn lacking(name: &str, block: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let mut want = |is_there: bool, what: &str| {
        if !is_there {
            findings.push(format!("{COMPOSE}: service `{name}` {what}"));
        }
    };
    let values = |key: &str| -> Vec<String> {
        let lines = block.lines().map(str::trim);
        lines.filter_map(|line| line.strip_prefix(key)).map(|v| v.trim().to_owned()).collect()
    };
    let image = values("image:").first().cloned().unwrap_or_default();
    let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
    let is_exact = tag.split('.').count() >= 3 || block.contains("dockerfile:");
    want(is_exact, "has no exact version");
    want(values("read_only:") == ["true"], "can write to its own files");
    let user = values("user:").first().cloned().unwrap_or_default();
    want(!user.is_empty() && !user.contains("root") && !user.starts_with("\"0"), "may run as root");
    want(block.contains("no-new-privileges:true"), "may gain privileges");
    want(block.contains("cap_drop:"), "keeps capabilities");
    let ends = block.contains("restart: \"no\"");
    want(ends || block.contains("healthcheck:"), "has no health check");
    findings
}

/// The names in upper case that a file sets, as `NAME:` does.
fn variables(text: &str) -> BTreeSet<String> {
    let keys = text.lines().map(str::trim).filter_map(|line| line.split_once(':'));
    keys.map(|(key, _)| key)
        .filter(|key| key.contains('_'))
        .filter(|key| key.chars().all(|next| next.is_ascii_uppercase() || next == '_'))
        .map(str::to_owned)
        .collect()
}

fn services() -> BTreeMap<String, String> {
    let text = tree::read(COMPOSE);
    let services = blocks(&text, "services");
    services.into_iter().map(|(name, block)| (name, merged(&text, &block))).collect()
}

/// Services of images that others build, and their names for what they are told.
const FOREIGN: [&str; 2] = ["kafka", "registry"];

#[test]
fn services_are_exact_closed_and_watched() {
    assert_clean(&services().iter().flat_map(|(name, it)| lacking(name, it)).collect::<Vec<_>>());
}

#[test]
fn every_app_has_a_service() {
    let services: BTreeSet<String> = services().into_keys().collect();
    let apps = declared().apps;
    let missing: Vec<&String> = apps.difference(&services).collect();
    assert!(missing.is_empty(), "{COMPOSE} has no service for {missing:?}");
}

#[test]
fn every_binary_that_is_built_exists() {
    let metadata = workspace();
    // The tests' own programs are built for the tests.
    let shipped = metadata.packages.iter().filter(|package| package.name != "pipeline-tests");
    let targets = shipped.flat_map(|package| &package.targets);
    let binaries: BTreeSet<&str> =
        targets.filter(|target| target.is_bin()).map(|target| target.name.as_str()).collect();
    let mut built = BTreeSet::new();
    for (name, block) in services() {
        for line in block.lines().filter_map(|line| line.trim().strip_prefix("BIN:")) {
            assert!(binaries.contains(line.trim()), "service `{name}`: no binary{line}");
            built.insert(line.trim().to_owned());
        }
    }
    assert_eq!(built.len(), binaries.len(), "built {built:?} of {binaries:?}");
}

#[test]
fn every_variable_is_one_that_some_binary_reads() {
    let sources: String = tree::rust_files().into_iter().map(|file| file.text).collect();
    for (name, block) in services() {
        for variable in variables(&block) {
            let is_known = sources.contains(&format!("\"{variable}\""));
            assert!(FOREIGN.contains(&&*name) || is_known, "service `{name}`: `{variable}`");
        }
    }
}

#[test]
fn commands_of_the_tool_are_understood() {
    use clap::CommandFactory as _;

    let mut seen = 0;
    for (name, block) in services() {
        let lines = block.lines().map(str::trim);
        for line in lines.filter(|line| line.starts_with("command:")) {
            // A list of strings is written alike in TOML.
            let text = line.replacen(':', " =", 1);
            let table: toml::Table = text.parse().expect("a list of strings");
            let words = table["command"].as_array().expect("a list").iter();
            let words = words.map(|word| word.as_str().expect("a string"));
            let verdict = ctl::cli::Cli::command()
                .try_get_matches_from(std::iter::once("bankstream").chain(words));
            assert!(verdict.is_ok(), "service `{name}`: {}", verdict.unwrap_err());
            seen += 1;
        }
    }
    assert_eq!(seen, 2, "the tool makes the topology and the webhook");
}

#[test]
fn containers_run_the_versions_that_the_tests_run() {
    let pom = tree::read("docker/platform/pom.xml");
    for (name, block) in services().iter().filter(|(name, _)| FOREIGN.contains(&name.as_str())) {
        let image = block.lines().find_map(|line| line.trim().strip_prefix("image:"));
        let version = image.and_then(|image| image.rsplit(':').next()).expect("image has a tag");
        let is_same = pom.contains(&format!(">{version}<"));
        assert!(is_same, "service `{name}` runs {version}, docker/platform/pom.xml another");
    }
}

#[test]
fn image_is_built_with_the_toolchain_of_the_workspace() {
    let manifest: toml::Table = tree::read("Cargo.toml").parse().expect("Cargo.toml is TOML");
    let version = manifest["workspace"]["package"]["rust-version"].as_str().expect("is text");
    let dockerfile = tree::read("docker/Dockerfile");
    assert!(dockerfile.contains(&format!("FROM rust:{version}.")), "not rust:{version}.x");
    for line in dockerfile.lines().filter(|line| line.starts_with("FROM ")) {
        let image = line.split(' ').nth(1).unwrap_or_default();
        assert!(image.contains(':') && !image.contains("latest"), "`{line}` is not exact");
    }
}

/// Runs the health check against one answer of a local server.
fn health_check(answer: &'static str) -> bool {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("is bound").port().to_string();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client comes");
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).expect("the request has an end");
            request.extend_from_slice(&byte);
        }
        stream.write_all(answer.as_bytes()).expect("the client listens");
        String::from_utf8(request).expect("the request is text")
    });
    let script = tree::root().join("docker/healthcheck");
    let status = Command::new("bash").arg(script).args([&port, "/readyz"]).status();
    assert!(server.join().expect("the server ends").starts_with("GET /readyz HTTP/1."));
    status.expect("bash is there").success()
}

#[test]
fn health_check_believes_200_and_nothing_else() {
    assert!(health_check("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
    assert!(!health_check("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 3\r\n\r\n200"));
    assert!(!health_check(""));
}

#[test]
fn a_careless_service_is_found() {
    let text = "x-safe: &safe\n  read_only: true\n  user: \"7\"\n  cap_drop: [ALL]\n  \
                security_opt: [\"no-new-privileges:true\"]\nservices:\n  a:\n    <<: *safe\n    \
                image: b/c:1.2.3\n    healthcheck:\n      test: x\n  d:\n    image: e:1\n";
    let all = blocks(text, "services");
    assert_eq!(all.keys().collect::<Vec<_>>(), ["a", "d"]);
    let good = merged(text, &all["a"]);
    assert_clean(&lacking("a", &good));
    let check = |from: &str, to: &str, expect: &str| {
        assert_found(&lacking("a", &good.replace(from, to)), expect);
    };
    check("1.2.3", "latest", "has no exact version");
    check("read_only: true", "", "can write to its own files");
    check("user: \"7\"", "", "may run as root");
    check("healthcheck:", "", "has no health check");
    check("no-new-privileges:true", "", "may gain privileges");
    check("cap_drop:", "", "keeps capabilities");
    assert_eq!(lacking("d", &all["d"]).len(), 6);
    assert_eq!(variables("  A_B: 1\n  c: 2\n"), BTreeSet::from(["A_B".to_owned()]));
}
