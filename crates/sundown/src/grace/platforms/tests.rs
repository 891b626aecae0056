//! What is detected in environments as they are met, with several markers in each.

use super::*;

fn with(variables: &[(&str, &str)]) -> Environment {
    let environment = Environment::empty().with_process_id(42);
    variables.iter().fold(environment, |environment, (name, value)| environment.with_variable(*name, *value))
}

fn seen(environment: &Environment) -> String {
    Grace::of(environment).unwrap().to_string()
}

#[test]
fn each_platform_is_seen_by_each_of_its_markers() {
    for platform in PLATFORMS.iter().chain(MANAGERS) {
        for marker in platform.markers {
            let environment = match *marker {
                Variable(name) | Without(name, _) => with(&[(name, "x")]),
                Value(name, value) => with(&[(name, value)]),
                OwnId(name) => with(&[(name, "42")]),
                File(path) => with(&[]).with_file(path),
            };
            let grace = Grace::of(&environment).unwrap();
            assert_eq!(grace.length(), platform.grace);
            let marker = marker.shows(&environment).unwrap();
            assert_eq!(grace.provenance(), &Provenance::Platform { name: platform.name, marker });
            assert_eq!(grace.check(), Ok(()), "{grace}");
        }
    }
}

#[test]
fn what_a_platform_is_built_on_does_not_hide_it() {
    let in_docker = |variables: &[(&str, &str)]| seen(&with(variables).with_file("/.dockerenv"));
    let pod = ("KUBERNETES_SERVICE_HOST", "10.0.0.1");
    let cases: [(&[(&str, &str)], &str); 7] = [
        (&[], "10 s (default of Docker, seen by /.dockerenv)"),
        (&[pod], "30 s (default of Kubernetes, seen by KUBERNETES_SERVICE_HOST)"),
        (&[pod, ("K_SERVICE", "resize")], "10 s (default of Cloud Run service, seen by K_SERVICE)"),
        (
            &[pod, ("CONTAINER_APP_JOB_NAME", "nightly")],
            "30 s (default of Azure Container Apps job, seen by CONTAINER_APP_JOB_NAME)",
        ),
        (&[("NOMAD_ALLOC_ID", "1f3a")], "5 s (default of Nomad, seen by NOMAD_ALLOC_ID)"),
        (
            &[
                ("AWS_EXECUTION_ENV", "AWS_ECS_FARGATE"),
                ("ECS_CONTAINER_METADATA_URI_V4", "http://169.254.170.2"),
            ],
            "30 s (default of AWS Fargate, seen by AWS_EXECUTION_ENV)",
        ),
        (
            &[("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023"), ("AWS_LAMBDA_FUNCTION_NAME", "resize")],
            "300 ms (default of AWS Lambda, seen by AWS_LAMBDA_FUNCTION_NAME)",
        ),
    ];
    for (variables, grace) in cases {
        assert_eq!(in_docker(variables), grace);
    }
}

#[test]
fn a_child_of_a_systemd_unit_is_not_the_unit() {
    let unit = [("INVOCATION_ID", "9c1e"), ("JOURNAL_STREAM", "8:1234"), ("SYSTEMD_EXEC_PID", "42")];
    assert_eq!(seen(&with(&unit)), "90 s (default of systemd, seen by SYSTEMD_EXEC_PID)");
    let nobody = "10 s (no platform recognised)";
    let inherited = [("INVOCATION_ID", "9c1e"), ("SYSTEMD_EXEC_PID", "41")];
    assert_eq!(seen(&with(&inherited)), nobody);
    assert_eq!(seen(&with(&inherited).with_variable("NOTIFY_SOCKET", "/run/systemd/notify")), nobody);
    assert_eq!(seen(&with(&[("INVOCATION_ID", "9c1e")])), nobody);
    // Before version 248.
    let older = with(&[("INVOCATION_ID", "9c1e"), ("NOTIFY_SOCKET", "/run/systemd/notify")]);
    assert_eq!(seen(&older), "90 s (default of systemd, seen by NOTIFY_SOCKET)");
    // A test that says nothing of a process is no unit either.
    assert_eq!(seen(&Environment::empty().with_variable("SYSTEMD_EXEC_PID", "")), nobody);
}

#[test]
fn of_a_platform_and_a_manager_inside_of_it_the_sooner_end_counts() {
    let supervised = ("SUPERVISOR_ENABLED", "1");
    let unit = ("SYSTEMD_EXEC_PID", "42");
    let pod = ("KUBERNETES_SERVICE_HOST", "10.0.0.1");
    let fly = ("FLY_MACHINE_ID", "e286");
    let supervisord = "10 s (default of supervisord, seen by SUPERVISOR_ENABLED)";
    assert_eq!(seen(&with(&[supervised, pod])), supervisord);
    assert_eq!(seen(&with(&[supervised, unit])), supervisord);
    assert_eq!(seen(&with(&[supervised, fly])), "5 s (default of Fly.io, seen by FLY_MACHINE_ID)");
    // Podman hands the socket of its own unit on.
    let in_podman = with(&[("NOTIFY_SOCKET", "/run/notify"), ("container", "podman")]);
    assert_eq!(seen(&in_podman), "10 s (default of Podman, seen by container)");
    let longer = ("RAILWAY_DEPLOYMENT_DRAINING_SECONDS", "60");
    assert_eq!(seen(&with(&[supervised, longer])), supervisord);
}

#[test]
fn what_a_platform_says_itself_stands_before_what_is_known_of_it() {
    let railway = ("RAILWAY_SERVICE_ID", "6f1d");
    let said = |seconds| with(&[railway, ("RAILWAY_DEPLOYMENT_DRAINING_SECONDS", seconds)]);
    assert_eq!(seen(&said("45")), "45 s (set by RAILWAY_DEPLOYMENT_DRAINING_SECONDS)");
    assert_eq!(seen(&said(" ")), "0 s (default of Railway, seen by RAILWAY_SERVICE_ID)");
    assert_eq!(
        Grace::of(&said("soon")).unwrap_err().to_string(),
        "RAILWAY_DEPLOYMENT_DRAINING_SECONDS is \"soon\", which is not a number of seconds"
    );
    let site =
        |seconds| seen(&with(&[("WEBSITE_SITE_NAME", "a"), ("WEBSITES_CONTAINER_STOP_TIME_LIMIT", seconds)]));
    assert_eq!(site("20"), "20 s (set by WEBSITES_CONTAINER_STOP_TIME_LIMIT)");
    assert_eq!(site("1800"), "120 s (set by WEBSITES_CONTAINER_STOP_TIME_LIMIT)");
    let ours = said("45").with_variable("SUNDOWN_GRACE", "2.5");
    assert_eq!(seen(&ours), "2.500 s (set by SUNDOWN_GRACE)");
}

#[test]
fn no_time_at_all_is_accepted_only_from_a_platform() {
    let railway = Grace::of(&with(&[("RAILWAY_SERVICE_ID", "6f1d")])).unwrap();
    let said = Grace::of(&with(&[("RAILWAY_DEPLOYMENT_DRAINING_SECONDS", "0")])).unwrap();
    let named = Grace::named("our own cluster", Duration::ZERO);
    for none in [railway, said, named] {
        assert_eq!(none.check(), Ok(()), "{none}");
        assert!(none.planned() > Duration::ZERO);
    }
    let ours = Grace::of(&with(&[("SUNDOWN_GRACE", "0")])).unwrap();
    for mistake in [ours, Grace::new(Duration::ZERO)] {
        assert!(matches!(mistake.check(), Err(GraceError::Zero { .. })), "{mistake}");
    }
}

#[test]
fn a_platform_that_was_named_says_so() {
    assert_eq!(Grace::EC2_SPOT.to_string(), "120 s (default of EC2 Spot, named by the program)");
}
