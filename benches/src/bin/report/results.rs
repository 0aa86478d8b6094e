//! The document that is read.

use serde_json::Value;

/// What was measured.
pub struct Results(Value);

/// A row of it.
#[derive(Clone, Debug)]
pub struct Row {
    /// With its setting.
    pub case: String,
    pub implementation: String,
    pub threads: u64,
    pub median: f64,
    pub min: f64,
    pub p99: f64,
    pub ratio: Option<f64>,
    pub to_one: Option<f64>,
    /// The part of the operations that was refused.
    pub refused: f64,
}

impl Row {
    /// The setting of the case, where it has several.
    pub fn setting(&self, case: &str) -> Option<&str> {
        self.case.strip_prefix(case)?.strip_prefix(", ")
    }
}

impl Results {
    /// Reads the file.
    pub fn read(path: &str) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
        let value: Value =
            serde_json::from_str(&text).map_err(|error| format!("{path}: {error}"))?;
        if value["schema_version"] != 1 {
            return Err(format!("{path}: not of schema version 1"));
        }
        if value["quick"] == true {
            return Err(format!("{path}: a quick run is not to be quoted"));
        }
        Ok(Results(value))
    }

    /// Any key.
    pub fn get(&self, key: &str) -> &Value {
        &self.0[key]
    }

    /// What is said of a case.
    pub fn about(&self, case: &str) -> Result<&Value, String> {
        let found = list(&self.0["cases"]).find(|it| it["case"] == case);
        found.ok_or_else(|| format!("no case `{case}`"))
    }

    /// The rows of a case, in every setting.
    pub fn rows(&self, case: &str) -> Vec<Row> {
        let rows = list(&self.0["results"]).map(|it| {
            let number = |value: &Value| value.as_f64().unwrap_or_default();
            let threads = it["threads"].as_u64().unwrap_or(1);
            let all = number(&it["rounds"]) * number(&it["operations_per_round"]) * threads as f64;
            Row {
                case: text(&it["case"]),
                implementation: text(&it["implementation"]),
                threads,
                median: number(&it["ns_per_op"]["median"]),
                min: number(&it["ns_per_op"]["min"]),
                p99: number(&it["ns_per_op"]["p99"]),
                ratio: it["ratio"].as_f64(),
                to_one: it["ratio_to_one_thread"].as_f64(),
                refused: number(&it["refused"]) / all,
            }
        });
        // "own" is not the beginning of "own, 1,000 live" here: cases are named in full.
        let known: Vec<_> = list(&self.0["cases"]).map(|it| text(&it["case"])).collect();
        let longest = |row: &Row| {
            let prefixes = known
                .iter()
                .filter(|it| row.case == **it || row.case.starts_with(&format!("{it}, ")));
            prefixes.max_by_key(|it| it.len()).cloned()
        };
        rows.filter(|row| longest(row).as_deref() == Some(case))
            .collect()
    }
}

/// The elements of an array, or none.
pub fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A string, or nothing.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
