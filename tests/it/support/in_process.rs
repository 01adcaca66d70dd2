//! hallpass inside the test's own process, on a runtime of its own: a test may block, and a panic
//! in a task is seen here.

use std::ops::Deref;
use std::time::Duration;

use hallpass::app;
use hallpass::config::Config;
use tokio::runtime::Runtime;

use super::hallpass::{Hallpass, Setup};

/// A hallpass that runs in this process. Dropping it stops it at once.
pub struct InProcess {
    runtime: Option<Runtime>,
    app: Option<app::Hallpass>,
    hallpass: Hallpass,
}

impl InProcess {
    /// Starts it on ports of the system's choice.
    ///
    /// # Panics
    /// If the configuration is wrong, or a part cannot be set up.
    pub async fn start(setup: Setup) -> Self {
        let config = Config::load(&setup.write([0; 3])).unwrap();
        let runtime = Runtime::new().unwrap();
        let start = runtime.spawn(app::Hallpass::start(config));
        let app = start.await.unwrap().unwrap();
        Self {
            hallpass: setup.into_hallpass([app.proxy, app.api, app.ops]),
            runtime: Some(runtime),
            app: Some(app),
        }
    }

    /// Drains it, as SIGTERM does, and waits until it has stopped.
    pub async fn shutdown(&mut self) {
        let (Some(app), Some(runtime)) = (self.app.take(), &self.runtime) else {
            return;
        };
        runtime.spawn(app.shutdown()).await.unwrap().unwrap();
    }
}

impl Deref for InProcess {
    type Target = Hallpass;

    fn deref(&self) -> &Hallpass {
        &self.hallpass
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        drop(self.app.take());
        let Some(runtime) = self.runtime.take() else {
            return;
        };
        // Its tasks must be gone before their folder is; and only another thread may wait for a
        // runtime while this one is inside of one.
        let ended = std::thread::spawn(|| runtime.shutdown_timeout(Duration::from_secs(5)));
        let _ = ended.join();
    }
}

#[tokio::test]
async fn a_drained_hallpass_keeps_its_sessions_and_its_records() {
    let cluster = super::postgres::Cluster::start();
    let mut hallpass = InProcess::start(Setup::new(&cluster)).await;
    let grant = hallpass.grant("maya", "orders-ro", "5m").await;
    assert_eq!(grant.login.ask("select count(*) from customers"), "100");
    assert_eq!(hallpass.statements(), ["select count(*) from customers"]);
    hallpass.shutdown().await;
    assert!(grant.login.try_connect().await.is_err());
    let records = hallpass.records();
    let mut last = records.iter().filter(|it| !it.event.is_of_the_log());
    assert_eq!(
        last.next_back().unwrap().event,
        hallpass::audit::Event::Stopped
    );
}
