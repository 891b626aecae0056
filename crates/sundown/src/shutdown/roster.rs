//! The components of a shutdown, which may join until it begins.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use crate::{
    Drainable, Grace, Order, PlanError, Schedule, Watch,
    errand::Place,
    phases::Phases,
    plan::{Ordered, Plan, Reserves},
};

pub(crate) struct Component {
    pub(crate) name: String,
    pub(crate) order: Order,
    pub(crate) drainable: Arc<dyn Drainable>,
    pub(crate) place: Arc<Place>,
}

/// The components that have joined so far, and what their plan is made of besides.
pub(crate) struct Roster {
    phases: Phases,
    reserves: Reserves,
    /// The lock guards the list; no component's code runs under it.
    listed: Mutex<Listed>,
}

struct Listed {
    components: Vec<Component>,
    /// Set when nobody can join any more: what is left of those who did.
    frozen: Option<Vec<Ordered>>,
}

impl Roster {
    pub(super) fn new(
        components: Vec<Component>,
        phases: Phases,
        reserves: Reserves,
    ) -> Result<Self, PlanError> {
        Plan::new(&ordered(&components), &phases)?;
        Ok(Roster { phases, reserves, listed: Mutex::new(Listed { components, frozen: None }) })
    }

    pub(super) fn join(&self, component: Component) -> Result<(), AddComponentError> {
        let mut listed = self.listed();
        if listed.frozen.is_some() {
            // The component's destructor is foreign code.
            drop(listed);
            return Err(AddComponentError::Draining(component.name.clone()));
        }
        listed.components.push(component);
        let Err(error) = Plan::new(&ordered(&listed.components), &self.phases) else { return Ok(()) };
        let refused = listed.components.pop();
        drop(listed);
        drop(refused);
        Err(error.into())
    }

    /// Tells the first components; nobody else has the roster yet.
    pub(super) fn tell_joined(&self, watch: &Watch) {
        let components: Vec<_> = {
            let listed = self.listed();
            listed.components.iter().map(|component| component.drainable.clone()).collect()
        };
        for component in components {
            component.joined(watch);
        }
    }

    /// Ends joining.
    pub(crate) fn freeze(&self) -> (Vec<Component>, Plan) {
        let mut listed = self.listed();
        let components = std::mem::take(&mut listed.components);
        let ordered = listed.frozen.insert(ordered(&components));
        let plan = Plan::new(ordered, &self.phases).expect("every component was checked when it joined");
        (components, plan)
    }

    /// What a shutdown that began now, with so much time, would come to.
    pub(super) fn schedule(&self, grace: Grace, begun: Instant) -> Schedule {
        let listed = self.listed();
        let ordered = listed.frozen.clone().unwrap_or_else(|| ordered(&listed.components));
        drop(listed);
        Schedule::new(grace, &ordered, &self.phases, &self.reserves, begun)
            .expect("every component was checked when it joined")
    }

    fn listed(&self) -> MutexGuard<'_, Listed> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ordered(components: &[Component]) -> Vec<Ordered> {
    components.iter().map(Component::order).collect()
}

impl Component {
    fn order(&self) -> Ordered {
        (self.name.clone(), self.order.clone())
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
