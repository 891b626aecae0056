//! The components of a shutdown, which may join until it begins.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
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

/// The components that have joined so far. The lock guards the lists; no component's code runs under it.
#[derive(Default)]
pub(crate) struct Roster(Mutex<Joined>);

#[derive(Default)]
struct Joined {
    components: Vec<Component>,
    /// Once joining has ended: the conductor has the components, and ends them.
    frozen: Option<Vec<(String, Weak<dyn Drainable>)>>,
}

impl Roster {
    pub(super) fn new(components: Vec<Component>) -> Result<Self, PlanError> {
        plan(&components)?;
        Ok(Roster(Mutex::new(Joined { components, frozen: None })))
    }

    pub(super) fn join(&self, component: Component) -> Result<(), AddComponentError> {
        let mut roster = self.lock();
        if roster.frozen.is_some() {
            // The component's destructor is foreign code.
            drop(roster);
            return Err(AddComponentError::Draining(component.name.clone()));
        }
        roster.components.push(component);
        let Err(error) = plan(&roster.components) else { return Ok(()) };
        let refused = roster.components.pop();
        drop(roster);
        drop(refused);
        Err(error.into())
    }

    /// Takes one back that has joined, unless joining has ended. The caller drops it.
    pub(super) fn withdraw(&self, name: &str) -> Option<Component> {
        let components = &mut self.lock().components;
        let at = components.iter().position(|component| component.name == name)?;
        let component = components.remove(at);
        // Some may have joined after it meanwhile: they wait for one less.
        components.iter_mut().for_each(|other| other.after.retain(|before| before != name));
        Some(component)
    }

    /// Tells the first components; nobody else has the roster yet.
    pub(super) fn tell_joined(&self, watch: &Watch) {
        let components: Vec<_> = {
            let roster = self.lock();
            roster.components.iter().map(|component| component.drainable.clone()).collect()
        };
        for component in components {
            component.joined(watch);
        }
    }

    /// Ends joining.
    pub(crate) fn freeze(&self) -> (Vec<Component>, Plan) {
        let mut roster = self.lock();
        let components = std::mem::take(&mut roster.components);
        let member = |component: &Component| (component.name.clone(), Arc::downgrade(&component.drainable));
        roster.frozen = Some(components.iter().map(member).collect());
        let plan = plan(&components).expect("every component was checked when it joined");
        (components, plan)
    }

    /// All of them, in the order in which they joined; without those that are no more.
    pub(crate) fn members(&self) -> Vec<(String, Option<Arc<dyn Drainable>>)> {
        let roster = self.lock();
        match &roster.frozen {
            Some(members) => members.iter().map(|(name, member)| (name.clone(), member.upgrade())).collect(),
            None => {
                let member =
                    |component: &Component| (component.name.clone(), Some(component.drainable.clone()));
                roster.components.iter().map(member).collect()
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Joined> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
    /// It is this shutdown, or one that this is inside.
    #[error("component {0:?} cannot join: the shutdown would be inside itself")]
    Inside(String),
    /// Its name or its order cannot work.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The runtime gives it no private place.
    #[error("the runtime gives no private place: {0}")]
    Runtime(io::Error),
}
