"""The figures of the statistics, drawn from results that are already computed.

- `box_plot_figure`: HU of the sites by stage, with stars.
- `characteristics_figure`: groups, age and sex, and HU by age.
- `comparison_figure`: the sites compared between the stages.
- `correlation_figure`: the correlations of the sites in the order of their clusters.
- `drawing`: what the figures share: axes, a legend of the stages, heat maps.
- `linear_figure`: the linear formulas' coefficients and areas.
- `projection_figure`: PCA and PLS-DA: loadings, scores, importance, permutations.
- `single_feature_figure`: single sites as tests: ROC curves and areas.
"""
