//! The machine that is measured on.

use serde_json::{Value, json};

/// What there is to know about it.
#[derive(Clone, Debug)]
pub struct Machine {
    /// As the processor names itself.
    pub processor: String,
    /// Cores this process may run on.
    pub cores: usize,
    /// The hypervisor's name, or that there is one.
    pub hypervisor: Option<String>,
    /// The kernel.
    pub kernel: String,
}

impl Machine {
    /// Asks the kernel; what it does not tell is unknown.
    #[must_use]
    pub fn look() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let cpu = read("/proc/cpuinfo");
        let field = |name: &str| {
            let line = cpu.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let model = field("model name").unwrap_or_else(|| std::env::consts::ARCH.into());
        let processor = match (field("cpu family"), field("model\t")) {
            (Some(family), Some(number)) => format!("{model} (family {family}, model {number})"),
            _ => model,
        };
        let virtual_machine = field("flags").is_some_and(|it| it.contains(" hypervisor"));
        let vendor = read("/sys/class/dmi/id/sys_vendor").trim().to_owned();
        Machine {
            processor,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            hypervisor: virtual_machine.then_some(match vendor.is_empty() {
                true => "unnamed".into(),
                false => vendor,
            }),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }

    /// In a line.
    #[must_use]
    pub fn line(&self) -> String {
        let cores = match self.cores {
            1 => "1 core".into(),
            cores => format!("{cores} cores"),
        };
        let kind = match &self.hypervisor {
            Some(_) => "virtual machine, shared with others",
            None => "no hypervisor seen",
        };
        format!("{}, {cores}, {kind}", self.processor)
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "processor": self.processor,
            "cores": self.cores,
            "virtual": self.hypervisor.is_some(),
            "hypervisor": self.hypervisor,
            "kernel": self.kernel,
            "architecture": std::env::consts::ARCH,
        })
    }
}
