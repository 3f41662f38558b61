//! Promises of the whole pipeline, each in its own file, against a real Kafka and real binaries.

#[cfg(test)]
mod abnormal;
#[cfg(test)]
mod broker_restart;
#[cfg(test)]
mod dead_letters;
#[cfg(test)]
mod demo_summary;
#[cfg(test)]
mod exactly_once;
#[cfg(test)]
mod hanging;
#[cfg(test)]
mod ingress_capture;
#[cfg(test)]
mod ingress_crash;
#[cfg(test)]
mod ingress_restart;
#[cfg(test)]
mod ingress_retention;
#[cfg(test)]
mod ingress_secrets;
#[cfg(test)]
mod ingress_slow;
#[cfg(test)]
mod ingress_twice;
#[cfg(test)]
mod kill9;
#[cfg(test)]
mod native;
#[cfg(test)]
mod offsets;
#[cfg(test)]
mod rebalance;
#[cfg(test)]
mod redrive;
#[cfg(test)]
mod schemas;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod traces;
