//! The local schema registry: Apicurio, which speaks Confluent's interface.
use std::ffi::OsString;
use std::path::Path;

use super::jars::Jars;
use super::probe::Probe;
use super::server::Server;
use super::state::registry_address;
use super::{Error, jvm_args};
use crate::process::Launch;

pub(super) const NAME: &str = "the schema registry";

/// Some hundred schemas need little; below 200 it starts to collect garbage all the time.
const HEAP_MB: u32 = 300;

/// A registry to be. Its schemas are kept in a file, so that ids in old records stay readable.
pub(super) fn prepare(
    dir: &Path,
    jars: &Jars,
    port: u16,
    launch: impl Fn(&'static str, Vec<OsString>) -> Launch,
) -> Result<Server, Error> {
    let mut args = jvm_args(dir, HEAP_MB);
    args.push("-Dquarkus.http.host=127.0.0.1".into());
    args.push(format!("-Dquarkus.http.port={port}").into());
    args.push("-Dquarkus.log.level=WARN".into());
    args.push("-jar".into());
    args.push(jars.registry_runner()?.into());
    let mut launch = launch("registry", args);
    NAME.clone_into(&mut launch.name);
    launch.dir = Some(jars.registry_dir());
    let mut url = OsString::from("jdbc:h2:file:");
    url.push(dir.join("registry").join("schemas"));
    launch.env.push(("REGISTRY_DATASOURCE_URL".to_owned(), url));
    Ok(Server::new(NAME, port, launch, Probe::Registry(registry_address(port))))
}
