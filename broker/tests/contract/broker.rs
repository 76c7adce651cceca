//! A broker for a test: the real binary, on ports that the system chooses, with a data folder of its own.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use restante_wire::{Problem, ProblemType};
use tempfile::TempDir;

/// Time limit for everything that a test waits for.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// One channel, `acme/orders`, with short bounds.
pub(crate) const ORDERS: &str = "
apiVersion: restante.dev/v1alpha1
kind: MessageChannel
metadata: {name: orders, namespace: acme}
spec:
  access: {anonymous: true}
  limits: {messages: 100, messageBytes: 1Mi}
";

/// A folder with manifests and a data folder, and the broker that runs on them.
pub(crate) struct Broker {
    pub(crate) folder: Arc<TempDir>,
    pub(crate) client: Client,
    arguments: Vec<String>,
    process: Option<Running>,
}

struct Running {
    child: Child,
    addresses: HashMap<String, SocketAddr>,
    log: mpsc::Receiver<String>,
}

impl Broker {
    /// A broker with these manifests.
    pub(crate) fn serving(manifests: &str) -> Self {
        Self::with_flags(manifests, &[])
    }

    /// A broker with these manifests and further flags.
    pub(crate) fn with_flags(manifests: &str, flags: &[&str]) -> Self {
        let mut broker = Self::prepared(flags);
        broker.write_manifests(manifests);
        let manifests = broker.manifests().display().to_string();
        broker.arguments.extend(["--manifests".into(), manifests]);
        broker.start();
        broker
    }

    /// A broker that has not started, in a folder of its own.
    pub(crate) fn prepared(flags: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::create_dir(folder.path().join("manifests")).unwrap();
        // Small segments, so that tests do not write gigabytes.
        let mut arguments: Vec<String> = if flags.contains(&"--segment-size") {
            Vec::new()
        } else {
            ["--segment-size", "4MiB"].map(Into::into).into()
        };
        arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
        // In a build of the whole workspace, reqwest has TLS and needs a provider, even though these tests use none.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // A connection per request: none is lost to a broker that stops or restarts between two.
        let client = Client::builder().pool_max_idle_per_host(0).build().unwrap();
        Self { folder: Arc::new(folder), client, arguments, process: None }
    }

    /// Adds flags for its next start.
    pub(crate) fn add_flags(&mut self, flags: &[&str]) {
        self.arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
    }

    /// Changes a flag for its next start.
    pub(crate) fn set_flag(&mut self, flag: &str, value: &str) {
        let at = self.arguments.iter().position(|argument| argument == flag).expect("it has the flag");
        self.arguments[at + 1] = value.to_owned();
    }

    /// Another broker on the same folder, not started yet.
    pub(crate) fn on_same_folder(&self) -> Self {
        let (folder, client, arguments) = (self.folder.clone(), self.client.clone(), self.arguments.clone());
        Self { folder, client, arguments, process: None }
    }

    pub(crate) fn manifests(&self) -> PathBuf {
        self.folder.path().join("manifests")
    }

    pub(crate) fn data_folder(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The file of a log, by its path in the data folder, that has these bytes; and their offset.
    pub(crate) fn segment_with(&self, bytes: &[u8]) -> (String, usize) {
        let folders = std::fs::read_dir(self.data_folder()).unwrap().map(|entry| entry.unwrap().path());
        let logs = folders.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("log"));
        let files = logs.flat_map(|log| std::fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path()));
        let found = files.filter_map(|file| {
            let content = std::fs::read(&file).unwrap();
            let at = content.windows(bytes.len()).position(|window| window == bytes)?;
            Some((file.strip_prefix(self.data_folder()).unwrap().display().to_string(), at))
        });
        found.min().expect("some segment has it")
    }

    pub(crate) fn write_manifests(&self, text: &str) {
        std::fs::write(self.manifests().join("channels.yaml"), text).unwrap();
    }

    /// The command that starts it. Exceeding a limit of the file size is an error to the broker instead of a signal: so
    /// a test makes a disk fail.
    pub(crate) fn command(&self) -> Command {
        let broker = command(&self.data_folder(), &self.arguments);
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(broker.get_program());
        command.args(broker.get_args()).stderr(Stdio::piped());
        command
    }

    /// Limits the size of files that the broker can write from now on.
    pub(crate) fn limit_files(&self, bytes: u64) {
        let pid = rustix::process::Pid::from_child(&self.process.as_ref().unwrap().child);
        let limit = rustix::process::Rlimit { current: Some(bytes), maximum: None };
        rustix::process::prlimit(Some(pid), rustix::process::Resource::Fsize, limit).unwrap();
    }

    /// Waits for its end. Returns the status, and the last line of its log.
    pub(crate) fn exit_status_and_last_line(&mut self) -> (Option<i32>, String) {
        let mut last = String::new();
        let running = self.process.as_mut().unwrap();
        while let Ok(line) = running.log.recv_timeout(DEADLINE) {
            eprintln!("broker: {line}");
            last = line;
        }
        let status = self.process.take().unwrap().child.wait().unwrap();
        (status.code(), last)
    }

    /// Starts the broker and waits until it listens.
    pub(crate) fn start(&mut self) {
        self.start_and_wait_for_log(&[]);
    }

    /// [`Self::start`], waiting for these lines of its log first.
    pub(crate) fn start_and_wait_for_log(&mut self, lines: &[&str]) {
        let mut child = self.command().spawn().unwrap();
        let log_lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (sender, log) = mpsc::channel();
        std::thread::spawn(move || log_lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        self.process = Some(Running { child, addresses: HashMap::new(), log });
        for line in lines.iter().chain(&["the broker is ready"]) {
            assert!(self.wait_for_log(line).is_some(), "the broker did not start");
        }
    }

    /// Waits for a line of the broker's log; `None` if the broker ends first.
    pub(crate) fn wait_for_log(&mut self, wanted: &str) -> Option<String> {
        let running = self.process.as_mut().unwrap();
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = match running.log.recv_timeout(left) {
                Ok(line) => line,
                Err(mpsc::RecvTimeoutError::Disconnected) => return None,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("{wanted:?} did not come within {DEADLINE:?}"),
            };
            eprintln!("broker: {line}");
            if let Ok(json) = serde_json::from_str::<serde_json::Value>(&line)
                && let (Some(flag), Some(address)) =
                    (json["fields"]["flag"].as_str(), json["fields"]["address"].as_str())
            {
                running.addresses.insert(flag.to_owned(), address.parse().unwrap());
            }
            if line.contains(wanted) {
                return Some(line);
            }
        }
    }

    pub(crate) fn address(&self, flag: &str) -> SocketAddr {
        self.process.as_ref().unwrap().addresses[flag]
    }

    pub(crate) fn data(&self) -> SocketAddr {
        self.address("--listen")
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.data()))
    }

    pub(crate) fn push(&self, address: &str, content: impl Into<reqwest::Body>) -> RequestBuilder {
        self.request(Method::POST, &format!("/v1/messages/{address}")).body(content)
    }

    pub(crate) fn pull(&self, address: &str, query: &str) -> RequestBuilder {
        self.request(Method::GET, &format!("/v1/messages/{address}?{query}"))
    }

    /// A pull that settles its message.
    pub(crate) fn pull_with_ack_auto(&self, address: &str, wait: &str) -> RequestBuilder {
        self.pull(address, &format!("{wait}&ack=auto")).header("restante-settle", "yes")
    }

    /// Pushes a message and returns its id.
    pub(crate) async fn pushed(&self, address: &str, content: impl Into<reqwest::Body>) -> String {
        let response = self.push(address, content).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::CREATED);
        header(&response, "message-id")
    }

    /// Pulls a message and returns its body and its lease's path.
    pub(crate) async fn pulled(&self, address: &str) -> (Vec<u8>, String) {
        let response = self.pull(address, "wait=5").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let lease = header(&response, "location");
        (response.bytes().await.unwrap().to_vec(), lease)
    }

    /// The answer of the admin port at a path.
    pub(crate) async fn admin(&self, path: &str) -> (StatusCode, String) {
        let url = format!("http://{}{path}", self.address("--admin-listen"));
        let response = self.client.get(url).send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    }

    /// The value of a series, with or without labels.
    pub(crate) async fn metric(&self, series: &str) -> f64 {
        let path = if series.starts_with("restante_channel_") { "/metrics/channels" } else { "/metrics" };
        let (_, text) = self.admin(path).await;
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{series} is not in\n{text}")).parse().unwrap()
    }

    /// Waits until a metric has a value.
    pub(crate) async fn wait_for_metric(&self, series: &str, value: f64) {
        let deadline = Instant::now() + DEADLINE;
        while self.metric(series).await != value {
            assert!(Instant::now() < deadline, "{series} did not become {value}");
            tokio::task::yield_now().await;
        }
    }

    /// The peak memory of the broker, in bytes (`VmHWM` in proc(5)).
    pub(crate) fn peak_memory(&self) -> u64 {
        let pid = self.process.as_ref().unwrap().child.id();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    /// Waits until open files and memory do not change any more.
    pub(crate) async fn wait_for_quiet(&self) {
        let metrics = [
            "restante_requests_open",
            "restante_body_memory_bytes",
            "restante_answer_memory_bytes",
            "restante_messages_delivered_total",
            "restante_waiting_receivers",
        ];
        let mut before = Vec::new();
        let mut since = Instant::now();
        while since.elapsed() < Duration::from_millis(300) {
            let mut now = Vec::new();
            for metric in metrics {
                now.push(self.metric(metric).await);
            }
            if now != before {
                (before, since) = (now, Instant::now());
            }
        }
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let child = &self.process.as_ref().unwrap().child;
        let pid = rustix::process::Pid::from_child(child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Kills the broker, like a power cut, and waits for its end.
    pub(crate) fn kill(&mut self) {
        let mut running = self.process.take().unwrap();
        running.child.kill().unwrap();
        running.child.wait().unwrap();
    }

    /// Stops the broker, and waits for its end.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal(rustix::process::Signal::TERM);
        self.wait_for_end()
    }

    pub(crate) fn wait_for_end(&mut self) -> ExitStatus {
        assert_eq!(self.wait_for_log("\0 never logged"), None);
        self.process.take().unwrap().child.wait().unwrap()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.kill();
        }
    }
}

/// The broker's command on a data folder.
pub(crate) fn command(data_folder: &Path, arguments: &[String]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_restante-broker"));
    command
        .args([
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--log-format",
            "json",
            "--data-dir",
        ])
        .arg(data_folder)
        .args(arguments)
        .stderr(Stdio::piped());
    command
}

/// The output of a broker that ends by itself. A broker that continues is killed, and the test fails.
pub(crate) fn ended(command: &mut Command) -> Output {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    let (sender, output) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    output.recv_timeout(DEADLINE).map(Result::unwrap).unwrap_or_else(|_| {
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        panic!("{command:?} goes on, and was to end")
    })
}

pub(crate) fn header(response: &Response, name: &str) -> String {
    let value = response.headers().get(name).unwrap_or_else(|| panic!("no {name} in {response:?}"));
    value.to_str().unwrap().to_owned()
}

/// Asserts that the answer is a problem of this type, with a detail.
pub(crate) async fn assert_problem(response: Response, status: u16, kind: ProblemType) -> Problem {
    assert_eq!(response.status(), status, "{response:?}");
    assert_eq!(header(&response, "content-type"), "application/problem+json");
    let problem: Problem = response.json().await.unwrap();
    assert_eq!(problem.problem_type(), Some(kind));
    assert_eq!(problem.status, status);
    assert!(problem.detail.len() > 20, "{problem:?} says too little");
    problem
}
