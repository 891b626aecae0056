//! The components of a shutdown, which may join and leave until it begins.

use std::{
    collections::HashSet,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Instant,
};

use crate::{
    Deadline, Drainable, Grace, Order, PlanError, Schedule, Watch,
    errand::Place,
    phases::Phases,
    plan::{Ordered, Plan, Reserves},
};

pub(crate) struct Component {
    pub(crate) name: String,
    /// Some of those that it comes after may have left, and may come again.
    pub(crate) order: Order,
    pub(crate) drainable: Arc<dyn Drainable>,
    pub(crate) place: Arc<Place>,
    /// Those that it comes after because one between has left; all are there.
    through: Vec<String>,
    /// What it was closed with, if it is about to leave.
    pub(crate) leaving: Option<Deadline>,
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
    /// Set when nobody can join or leave any more.
    frozen: Option<Frozen>,
}

/// What is left of the components: the conductor has them, and ends them.
struct Frozen {
    ordered: Vec<Ordered>,
    members: Vec<(String, Weak<dyn Drainable>)>,
}

impl Roster {
    pub(super) fn new(
        components: Vec<Component>,
        phases: Phases,
        reserves: Reserves,
    ) -> Result<Self, PlanError> {
        Plan::new(&ordered(&components, 0), &phases)?;
        Ok(Roster { phases, reserves, listed: Mutex::new(Listed { components, frozen: None }) })
    }

    pub(super) fn join(&self, component: Component) -> Result<(), AddComponentError> {
        let mut listed = self.listed();
        if listed.frozen.is_some() {
            // The component's destructor is foreign code.
            drop(listed);
            return Err(AddComponentError::Draining(component.name.clone()));
        }
        let newcomer = listed.components.len();
        listed.components.push(component);
        let Err(error) = Plan::new(&ordered(&listed.components, newcomer), &self.phases) else {
            return Ok(());
        };
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

    /// The component of this name is about to leave; it is one of ours until it [has](Self::remove). Returns what it is to
    /// be closed with.
    pub(super) fn leaving(
        &self,
        name: &str,
        deadline: Deadline,
    ) -> Result<(Arc<dyn Drainable>, Deadline), RemoveComponentError> {
        let mut listed = self.listed();
        if listed.frozen.is_some() {
            return Err(RemoveComponentError::Draining(name.to_owned()));
        }
        let component = listed.components.iter_mut().find(|component| component.name == name);
        let component = component.ok_or_else(|| RemoveComponentError::Unknown(name.to_owned()))?;
        Ok((component.drainable.clone(), component.leaving.get_or_insert(deadline).clone()))
    }

    /// It leaves, if the shutdown has not begun: in one step, so that either has it, never both and never neither.
    pub(super) fn remove(
        &self,
        name: &str,
        drainable: &Arc<dyn Drainable>,
    ) -> Result<(), RemoveComponentError> {
        let mut listed = self.listed();
        if listed.frozen.is_some() {
            return Err(RemoveComponentError::Draining(name.to_owned()));
        }
        // By itself: its name may be another's by now.
        let is_it = |component: &Component| Arc::ptr_eq(&component.drainable, drainable);
        let Some(at) = listed.components.iter().position(is_it) else { return Ok(()) };
        let left = listed.components.remove(at);
        let names: HashSet<String> =
            listed.components.iter().map(|component| component.name.clone()).collect();
        for component in &mut listed.components {
            component.inherit(&left, &names);
        }
        drop(listed);
        drop(left);
        Ok(())
    }

    /// Ends joining and leaving.
    pub(crate) fn freeze(&self) -> (Vec<Component>, Plan) {
        let mut listed = self.listed();
        let components = std::mem::take(&mut listed.components);
        let member = |component: &Component| (component.name.clone(), Arc::downgrade(&component.drainable));
        let members = components.iter().map(member).collect();
        let frozen =
            listed.frozen.insert(Frozen { ordered: ordered(&components, components.len()), members });
        let plan = Plan::new(&frozen.ordered, &self.phases).expect("each was checked when it joined");
        (components, plan)
    }

    /// What a shutdown that began now, with so much time, would come to.
    pub(super) fn schedule(&self, grace: Grace, begun: Instant) -> Schedule {
        let listed = self.listed();
        let ordered = match &listed.frozen {
            Some(frozen) => frozen.ordered.clone(),
            None => ordered(&listed.components, listed.components.len()),
        };
        drop(listed);
        Schedule::new(grace, &ordered, &self.phases, &self.reserves, begun)
            .expect("each was checked when it joined")
    }

    /// All of them, in the order in which they joined; without those that are no more.
    pub(crate) fn members(&self) -> Vec<(String, Option<Arc<dyn Drainable>>)> {
        let listed = self.listed();
        match &listed.frozen {
            Some(frozen) => {
                frozen.members.iter().map(|(name, member)| (name.clone(), member.upgrade())).collect()
            }
            None => {
                let member =
                    |component: &Component| (component.name.clone(), Some(component.drainable.clone()));
                listed.components.iter().map(member).collect()
            }
        }
    }

    fn listed(&self) -> MutexGuard<'_, Listed> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Each with where it stands. From `strict` on, those that a component comes after must be there.
fn ordered(components: &[Component], strict: usize) -> Vec<Ordered> {
    let names: HashSet<&str> = components.iter().map(|component| component.name.as_str()).collect();
    let order = |(at, component): (usize, &Component)| -> Ordered {
        let mut order = component.order.clone();
        order.after.retain(|name| at >= strict || names.contains(name.as_str()));
        order.after.extend(component.through.iter().cloned());
        (component.name.clone(), order)
    };
    components.iter().enumerate().map(order).collect()
}

impl Component {
    pub(crate) fn new(name: String, order: Order, drainable: Arc<dyn Drainable>, place: Arc<Place>) -> Self {
        Component { name, order, drainable, place, through: Vec::new(), leaving: None }
    }

    /// Whoever comes after the one that has left comes after those that it came after.
    fn inherit(&mut self, left: &Component, names: &HashSet<String>) {
        let before = self.through.len();
        self.through.retain(|name| *name != left.name);
        if self.through.len() == before && !self.order.after.contains(&left.name) {
            return;
        }
        for name in left.order.after.iter().chain(&left.through) {
            if names.contains(name) && !self.order.after.contains(name) && !self.through.contains(name) {
                self.through.push(name.clone());
            }
        }
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

/// Why a component could not leave a running service.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoveComponentError {
    /// The shutdown has begun, and sees to it.
    #[error("component {0:?} leaves too late: the service is draining, and it with it")]
    Draining(String),
    /// There is none of this name.
    #[error("there is no component {0:?} that could leave")]
    Unknown(String),
}
