"""What a PromQL query names, and whether the labels that it relies on are there: checked as a type checker does.

A query that names a label which its series don't carry is no error for Prometheus: it matches nothing, and a panel or
an alert stays empty for ever.
"""

from __future__ import annotations

from functools import singledispatchmethod

from promql_parser import (
    AggregateExpr,
    BinaryExpr,
    Call,
    MatrixSelector,
    NumberLiteral,
    ParenExpr,
    StringLiteral,
    SubqueryExpr,
    UnaryExpr,
    VectorSelector,
    parse,
)

TARGET = {"job", "instance"}  # what a scrape adds
ALERTS = {"alertname", "alertstate", "severity", "signal", "health"}


class Checked:
    """A query against the series that there are.

    Args:
        query: PromQL.
        series: The labels of each, by name.

    Attributes:
        labels: What the result carries; None for a number.
        problems: What can't match, in words.
        matchers: Every (label, value) that is asked for.
    """

    def __init__(self, query, series):
        self.series, self.problems, self.matchers = series, [], []
        self.labels = self._of(parse(query))

    def _need(self, asked, there, where):
        if missing := set(asked) - there:
            self.problems.append(f"{where}: no {', '.join(sorted(missing))}")

    @singledispatchmethod
    def _of(self, node):
        raise NotImplementedError(type(node))

    @_of.register(NumberLiteral)
    @_of.register(StringLiteral)
    def _(self, _):
        return None

    @_of.register(ParenExpr)
    @_of.register(UnaryExpr)
    @_of.register(SubqueryExpr)
    def _(self, node):
        return self._of(node.expr)

    @_of.register(MatrixSelector)
    def _(self, node):
        return self._of(node.vector_selector)

    @_of.register(VectorSelector)
    def _(self, node):
        if node.name is None:
            scraped = [labels for labels in self.series.values() if labels >= TARGET]
            return {"__name__"}.union(set.intersection(*scraped))  # by a pattern: what all have
        self._need([node.name], set(self.series), "series")
        there = set(self.series.get(node.name, ()))
        self._need([matcher.name for matcher in node.matchers.matchers], there, node.name)
        self.matchers += [(matcher.name, matcher.value) for matcher in node.matchers.matchers]
        return there

    @_of.register(AggregateExpr)
    def _(self, node):
        there = self._of(node.expr)
        kept = set(node.modifier.labels) if node.modifier else set()
        self._need(kept, there, f"{node.op} by")
        if "count_values" in str(node.op):
            return kept | {node.param.val}
        return there if "topk" in str(node.op) else kept

    @_of.register(Call)
    def _(self, node):
        texts = [argument.val for argument in node.args if isinstance(argument, StringLiteral)]
        vectors = [labels for argument in node.args if (labels := self._of(argument)) is not None]
        there = set().union(*vectors) - ({"le"} if node.func.name == "histogram_quantile" else set())
        if node.func.name == "label_replace":
            self._need({texts[2]} - {""}, there, "label_replace")
        if node.func.name == "label_join":
            self._need(texts[2:], there, "label_join")
        return there | set(texts[:1])

    @_of.register(BinaryExpr)
    def _(self, node):
        left, right = self._of(node.lhs), self._of(node.rhs)
        if left is None or right is None:
            return left if right is None else right
        modifier = node.modifier
        if modifier is None or modifier.matching is None:
            if left != right:
                self.problems.append(f"{node.op}: {sorted(left)} can't match {sorted(right)}")
            return left
        self._need(modifier.matching.labels, left & right, f"{node.op} on")
        if str(node.op) in {"and", "unless"}:
            return left
        if str(node.op) == "or":
            return left | right
        many = "ManyToOne" in str(modifier.card)
        return left | set(modifier.group_labels or ()) if many else set(modifier.matching.labels)


def record(series, rules):
    """The series with those that the rules add, and what is wrong with the rules."""
    known, problems = dict(series), []
    for rule in rules:
        checked = Checked(rule.expr, known)
        problems += [f"{rule.record}: {problem}" for problem in checked.problems]
        known[rule.record] = known.get(rule.record, set()) | checked.labels | set(rule.labels)
    return known, problems
