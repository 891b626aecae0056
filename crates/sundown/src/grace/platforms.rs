//! The platforms: what each shows itself by to a process, and the grace that its documentation says it gives.
//!
//! Few let a process read the grace itself: two, by a variable ([`READABLE`]). Of the others the documented default is
//! taken, which their users may have changed where the process cannot see it: `terminationGracePeriodSeconds` of a pod,
//! `docker stop -t`, `kill_timeout` of Fly.io and Nomad, `stopTimeout` of ECS, `TimeoutStopSec=` of a systemd unit. Whoever
//! changes it says so by `SUNDOWN_GRACE` as well.

use std::time::Duration;

use super::{Environment, Grace, GraceError, Provenance};

/// A variable in which a platform says how many seconds it gives, and the most that it gives whatever it says there.
struct Readable {
    variable: &'static str,
    most: Option<u64>,
}

const READABLE: &[Readable] = &[
    // https://docs.railway.com/reference/variables
    Readable { variable: "RAILWAY_DEPLOYMENT_DRAINING_SECONDS", most: None },
    // https://learn.microsoft.com/azure/app-service/reference-app-settings: at most 120 s; settings are variables
    Readable { variable: "WEBSITES_CONTAINER_STOP_TIME_LIMIT", most: Some(120) },
];

/// What shows to a process that it runs on a platform.
#[derive(Clone, Copy)]
enum Marker {
    /// A variable, whatever its value.
    Variable(&'static str),
    /// A variable with this value.
    Value(&'static str, &'static str),
    /// A variable that holds the id of this very process: children inherit it, with their parent's.
    OwnId(&'static str),
    /// A variable, but only where the other is not set.
    Without(&'static str, &'static str),
    /// A file.
    File(&'static str),
}

use Marker::{File, OwnId, Value, Variable, Without};

impl Marker {
    /// The variable or file that shows.
    fn shows(self, environment: &Environment) -> Option<&'static str> {
        let (name, shows) = match self {
            Variable(name) => (name, environment.variable(name).is_some()),
            Value(name, value) => (name, environment.variable(name) == Some(value)),
            OwnId(name) => (name, environment.is_own_id(name)),
            Without(name, other) => {
                (name, environment.variable(name).is_some() && environment.variable(other).is_none())
            }
            File(path) => (path, environment.has_file(path)),
        };
        shows.then_some(name)
    }
}

struct Platform {
    name: &'static str,
    grace: Duration,
    markers: &'static [Marker],
}

const fn platform(name: &'static str, millis: u64, markers: &'static [Marker]) -> Platform {
    Platform { name, grace: Duration::from_millis(millis), markers }
}

/// The most specific first, since what a platform is built on may show as well: Cloud Run is asked before Kubernetes, as
/// it speaks Knative; whatever runs on Kubernetes before it; and Docker last, as its marker shows on many others.
const PLATFORMS: &[Platform] = &[
    // https://cloud.google.com/run/docs/container-contract: 10 s, fixed
    platform("Cloud Run service", 10_000, &[Variable("K_SERVICE")]),
    platform("Cloud Run job", 10_000, &[Variable("CLOUD_RUN_JOB")]),
    platform("Cloud Run worker pool", 10_000, &[Variable("CLOUD_RUN_WORKER_POOL")]),
    // https://github.com/aws-samples/graceful-shutdown-with-aws-lambda: 300 ms for a runtime beside an external extension.
    // Without any extension there is no signal, and no shutdown that it could begin.
    platform("AWS Lambda", 300, &[Variable("AWS_LAMBDA_FUNCTION_NAME")]),
    // https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_definition_parameters.html: 30 s, Fargate 120 s at most
    platform("AWS Fargate", 30_000, &[Value("AWS_EXECUTION_ENV", "AWS_ECS_FARGATE")]),
    platform(
        "Amazon ECS",
        30_000,
        &[Value("AWS_EXECUTION_ENV", "AWS_ECS_EC2"), Variable("ECS_CONTAINER_METADATA_URI_V4")],
    ),
    // https://learn.microsoft.com/azure/container-apps/application-lifecycle-management: 30 s; it runs on Kubernetes
    platform("Azure Container Apps", 30_000, &[Variable("CONTAINER_APP_NAME")]),
    platform("Azure Container Apps job", 30_000, &[Variable("CONTAINER_APP_JOB_NAME")]),
    // https://learn.microsoft.com/azure/app-service/reference-app-settings: 5 s
    platform("Azure App Service", 5_000, &[Variable("WEBSITE_SITE_NAME"), Variable("WEBSITE_INSTANCE_ID")]),
    // https://devcenter.heroku.com/articles/dyno-shutdown-behavior: 30 s, fixed
    platform("Heroku", 30_000, &[Variable("DYNO")]),
    // https://fly.io/docs/reference/configuration/: 5 s
    platform("Fly.io", 5_000, &[Variable("FLY_MACHINE_ID"), Variable("FLY_APP_NAME")]),
    // https://developer.hashicorp.com/nomad/docs/job-specification/task#kill_timeout: 5 s
    platform("Nomad", 5_000, &[Variable("NOMAD_ALLOC_ID")]),
    // https://render.com/docs/blueprint-spec: 30 s
    platform("Render", 30_000, &[Value("RENDER", "true")]),
    // https://docs.railway.com/reference/variables: none, unless RAILWAY_DEPLOYMENT_DRAINING_SECONDS says else
    platform("Railway", 0, &[Variable("RAILWAY_SERVICE_ID"), Variable("RAILWAY_REPLICA_ID")]),
    // https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination: 30 s unless the pod says else
    platform(
        "Kubernetes",
        30_000,
        &[Variable("KUBERNETES_SERVICE_HOST"), File("/var/run/secrets/kubernetes.io/serviceaccount")],
    ),
    // https://docs.docker.com/reference/cli/docker/container/stop/: 10 s; Compose has the same
    platform("Docker", 10_000, &[File("/.dockerenv")]),
    // https://docs.podman.io/en/latest/markdown/podman-stop.1.html: 10 s
    platform("Podman", 10_000, &[File("/run/.containerenv"), Value("container", "podman")]),
];

/// What runs processes inside of any of these. Both ends come: whichever is sooner counts.
const MANAGERS: &[Platform] = &[
    // http://supervisord.org/configuration.html: stopwaitsecs, 10 s; the marker: http://supervisord.org/faq.html
    platform("supervisord", 10_000, &[Variable("SUPERVISOR_ENABLED")]),
    // https://www.freedesktop.org/software/systemd/man/latest/systemd.service.html: DefaultTimeoutStopSec, 90 s. All its
    // variables are inherited, by a shell in a terminal too: so its id must be ours. It is given since version 248; an
    // older one shows by its socket. (INVOCATION_ID says nothing: it is set for every process below a unit.)
    platform("systemd", 90_000, &[OwnId("SYSTEMD_EXEC_PID"), Without("NOTIFY_SOCKET", "SYSTEMD_EXEC_PID")]),
];

/// Every file that may show something.
pub(super) fn files() -> impl Iterator<Item = &'static str> {
    let markers = PLATFORMS.iter().chain(MANAGERS).flat_map(|platform| platform.markers);
    markers.filter_map(|marker| match marker {
        File(path) => Some(*path),
        _ => None,
    })
}

/// What the platform says in this environment, or is known to give; `None` if none shows.
pub(super) fn detect(environment: &Environment) -> Result<Option<Grace>, GraceError> {
    let platform = match read(environment)? {
        Some(said) => Some(said),
        None => first(PLATFORMS, environment),
    };
    let found = platform.into_iter().chain(first(MANAGERS, environment));
    Ok(found.min_by_key(Grace::length))
}

/// Whether a platform says by this variable what it gives.
pub(super) fn is_readable(variable: &str) -> bool {
    READABLE.iter().any(|readable| readable.variable == variable)
}

/// What the platform says in so many words. A blank is none.
fn read(environment: &Environment) -> Result<Option<Grace>, GraceError> {
    let said = READABLE
        .iter()
        .find(|readable| environment.variable(readable.variable).is_some_and(|text| !text.trim().is_empty()));
    let Some(readable) = said else { return Ok(None) };
    let grace = Grace::from_variable(readable.variable, environment)?;
    let most = readable.most.map_or(Duration::MAX, Duration::from_secs);
    Ok(grace.map(|grace| Grace { length: grace.length.min(most), ..grace }))
}

fn first(platforms: &[Platform], environment: &Environment) -> Option<Grace> {
    platforms.iter().find_map(|platform| {
        let marker = platform.markers.iter().find_map(|marker| marker.shows(environment))?;
        let provenance = Provenance::Platform { name: platform.name, marker };
        Some(Grace { length: platform.grace, provenance })
    })
}

/// Platforms that do not show themselves to a process, or do so only over a network: who runs on one names it.
impl Grace {
    /// DigitalOcean's App Platform, unless the app's `termination` says else: [120
    /// s](https://docs.digitalocean.com/products/app-platform/how-to/configure-termination).
    pub const DIGITAL_OCEAN_APP: Grace = Grace::named("DigitalOcean App Platform", Duration::from_secs(120));

    /// An EC2 Spot instance, from the notice in its metadata on: [two
    /// minutes](https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html). There is no
    /// signal to a process: who has read the notice calls [`begin_within`](crate::Handle::begin_within).
    pub const EC2_SPOT: Grace = Grace::named("EC2 Spot", Duration::from_secs(120));

    /// A Spot virtual machine of Google's: [30 s](https://docs.cloud.google.com/compute/docs/instances/create-use-spot), best
    /// effort.
    pub const GCE_SPOT: Grace = Grace::named("GCE Spot", Duration::from_secs(30));

    /// A pod on a Spot node of GKE, which gives ordinary pods [15 of a node's
    /// 30 s](https://kubernetes.io/docs/concepts/cluster-administration/node-shutdown/), whatever the pod asks for.
    pub const GKE_SPOT: Grace = Grace::named("GKE Spot", Duration::from_secs(15));

    /// AWS Lambda with an internal extension and no external one: [500
    /// ms](https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html). (With an external one it is 300
    /// ms, which is what is detected; without any there is no signal.)
    pub const LAMBDA_INTERNAL_EXTENSION: Grace =
        Grace::named("AWS Lambda with an internal extension", Duration::from_millis(500));
}

#[cfg(test)]
mod tests;
