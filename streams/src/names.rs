//! Names on the cluster: the live ones, or those of a replay.

/// Gives every written name its run suffix. A replay reads live topics and the topics it writes
/// itself; group, stores and outputs are its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    run_id: Option<String>,
    written: Vec<String>,
}

impl Names {
    /// Names of live operation, or of the run `run_id`; `written` are the topics the application
    /// writes, as declared, so that it reads its own run's version of them.
    pub fn new(run_id: Option<String>, written: Vec<String>) -> Self {
        Self { run_id, written }
    }

    /// The run's id.
    pub fn run_id(&self) -> Option<&str> {
        self.run_id.as_deref()
    }

    /// A written name: group, topic, changelog, ledger or dead letters.
    pub fn written(&self, name: &str) -> String {
        match &self.run_id {
            Some(run_id) => format!("{name}.run-{run_id}"),
            None => name.to_owned(),
        }
    }

    /// A topic that is read: the run's own when this application writes it, the live one otherwise.
    pub fn read(&self, topic: &str) -> String {
        if self.written.iter().any(|written| written == topic) {
            self.written(topic)
        } else {
            topic.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn run_reads_live_inputs_and_its_own_outputs() {
        let names = Names::new(Some("r1".to_owned()), vec!["b".to_owned()]);
        assert_eq!(names.read("a"), "a");
        assert_eq!(names.read("b"), "b.run-r1");
        assert_eq!(names.written("app"), "app.run-r1");
        assert_eq!(Names::default().written("app"), "app");
    }
}
