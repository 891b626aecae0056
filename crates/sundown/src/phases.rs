//! Phases: names for the parts of an order, for those who think in phases. Every component of one comes after every
//! component of the phase before it that has any; the [plan](crate::plan) knows nothing else of them.

use crate::{Order, PlanError, plan::Ordered};

/// The phases of a service, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Phases(Vec<String>);

impl Phases {
    pub(crate) fn extend(&mut self, names: impl IntoIterator<Item = String>) {
        self.0.extend(names);
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    fn place(&self, phase: &str) -> Option<usize> {
        self.names().position(|name| name == phase)
    }

    /// Who is in which, or what is wrong with the names.
    pub(crate) fn members(&self, components: &[Ordered]) -> Result<Members<'_>, PlanError> {
        for (at, name) in self.names().enumerate() {
            if name.is_empty() {
                return Err(PlanError::NoPhaseName);
            }
            if self.place(name) != Some(at) {
                return Err(PlanError::TwoOfOnePhase { phase: name.to_owned() });
            }
        }
        let mut inside = vec![Vec::new(); self.0.len()];
        for (at, (component, order)) in components.iter().enumerate() {
            let Some(phase) = &order.phase else { continue };
            let unknown = || PlanError::UnknownPhase { name: component.clone(), phase: phase.clone() };
            inside[self.place(phase).ok_or_else(unknown)?].push(at);
        }
        Ok(Members { phases: self, inside })
    }
}

/// The components of each phase.
pub(crate) struct Members<'a> {
    phases: &'a Phases,
    inside: Vec<Vec<usize>>,
}

impl Members<'_> {
    /// Those that a component of such an order comes after because of its phase.
    pub(crate) fn before(&self, order: &Order) -> Vec<usize> {
        let place = order.phase.as_ref().and_then(|phase| self.phases.place(phase)).unwrap_or(0);
        self.inside[..place].iter().rev().find(|inside| !inside.is_empty()).cloned().unwrap_or_default()
    }

    /// The phases that have any components, with those.
    pub(crate) fn of_each(&self) -> impl Iterator<Item = (&str, &[usize])> {
        let all = self.phases.names().zip(self.inside.iter().map(Vec::as_slice));
        all.filter(|(_, inside)| !inside.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;

    fn plan(phases: &[&str], components: &[(&str, &str, &[&str])]) -> Result<Plan, String> {
        let mut all = Phases::default();
        all.extend(phases.iter().map(|name| (*name).to_owned()));
        let order = |phase: &str, after: &[&str]| match phase {
            "" => Order::from(after),
            phase => Order::from(after).phase(phase),
        };
        let components: Vec<_> =
            components.iter().map(|(name, phase, after)| ((*name).to_owned(), order(phase, after))).collect();
        Plan::new(&components, &all).map_err(|error| error.to_string())
    }

    #[test]
    fn everybody_of_a_phase_comes_after_everybody_of_the_one_before_that_has_any() {
        let phases = ["ingress", "nobody yet", "work", "storage"];
        let plan = plan(
            &phases,
            &[
                ("database", "storage", &[]),
                ("http", "ingress", &[]),
                ("jobs", "work", &["mail"]),
                ("mail", "work", &[]),
                ("probes", "ingress", &[]),
                ("free", "", &[]),
            ],
        )
        .unwrap();
        let after: Vec<_> = (0..plan.len()).map(|at| plan.after(at).to_vec()).collect();
        assert_eq!(after, [vec![2, 3], vec![], vec![3, 1, 4], vec![1, 4], vec![], vec![]]);
    }

    #[test]
    fn phases_that_cannot_work_are_refused_by_name() {
        let refused = |phases: &[&str], components| plan(phases, components).unwrap_err();
        assert_eq!(refused(&["a", ""], &[]), "a phase has an empty name");
        assert_eq!(refused(&["a", "b", "a"], &[]), "phase \"a\" comes twice in the order of the phases");
        assert_eq!(
            refused(&["ingress"], &[("http", "ingres", &[])]),
            "component \"http\" is of phase \"ingres\", which is not among the phases"
        );
        assert_eq!(
            refused(&["a", "b"], &[("x", "a", &["y"]), ("y", "b", &[])]),
            "the order has a cycle: x (of phase a) after y (of phase b) after x (of phase a)"
        );
    }
}
