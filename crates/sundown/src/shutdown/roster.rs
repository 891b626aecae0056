//! The components of a shutdown, which may join until it begins.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    Drainable, PlanError, Watch,
    errand::Place,
    plan::{Ordered, Plan},
};

pub(crate) struct Component {
    pub(crate) name: String,
    pub(crate) after: Vec<String>,
    pub(crate) drainable: Arc<dyn Drainable>,
    pub(crate) place: Arc<Place>,
}

/// The components that have joined so far. The lock guards the list; no component's code runs under it.
#[derive(Default)]
pub(crate) struct Roster(Mutex<(Vec<Component>, bool)>);

impl Roster {
    pub(super) fn new(components: Vec<Component>) -> Result<Self, PlanError> {
        plan(&components)?;
        Ok(Roster(Mutex::new((components, false))))
    }

    pub(super) fn join(&self, component: Component) -> Result<(), AddComponentError> {
        let mut roster = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (components, frozen) = &mut *roster;
        if *frozen {
            // The component's destructor is foreign code.
            drop(roster);
            return Err(AddComponentError::Draining(component.name.clone()));
        }
        components.push(component);
        let Err(error) = plan(components) else { return Ok(()) };
        let refused = components.pop();
        drop(roster);
        drop(refused);
        Err(error.into())
    }

    /// Tells the first components; nobody else has the roster yet.
    pub(super) fn tell_joined(&self, watch: &Watch) {
        let components: Vec<_> = {
            let roster = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            roster.0.iter().map(|component| component.drainable.clone()).collect()
        };
        for component in components {
            component.joined(watch);
        }
    }

    /// Ends joining.
    pub(crate) fn freeze(&self) -> (Vec<Component>, Plan) {
        let mut roster = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        roster.1 = true;
        let components = std::mem::take(&mut roster.0);
        let plan = plan(&components).expect("every component was checked when it joined");
        (components, plan)
    }
}

fn plan(components: &[Component]) -> Result<Plan, PlanError> {
    Plan::new(&components.iter().map(Component::order).collect::<Vec<_>>())
}

impl Component {
    fn order(&self) -> Ordered {
        (self.name.clone(), self.after.clone())
    }
}

/// Why a component could not join a running service.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddComponentError {
    /// The shutdown has begun.
    #[error("component {0:?} comes too late: the service is draining")]
    Draining(String),
    /// Its name or its order cannot work.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The runtime gives it no private place.
    #[error("the runtime gives no private place: {0}")]
    Runtime(io::Error),
}
