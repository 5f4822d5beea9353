/* BridgeStan's C interface (2.x) on a model of one's own: sigma ~ lognormal(0, 1), mu ~ normal(0, sigma). */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const double log_two_pi = 1.8378770664093453;

void *bs_model_construct(const char *data, unsigned seed, char **error) {
  static int model;
  if (!data || strcmp(data, "bad.json") != 0)
    return &model;
  *error = strdup("variable does not exist; processing stage=data initialization; variable name=y");
  return NULL;
}
void bs_model_destruct(void *model) {}
void bs_free_error_msg(char *text) {
  free(text);
}
const char *bs_param_names(const void *model, bool transformed, bool generated) {
  return "sigma,mu.1.1";
}
int bs_param_num(const void *model, bool transformed, bool generated) {
  return 2;
}
int bs_param_unc_num(const void *model) {
  return 2;
}
int bs_param_constrain(const void *model, bool transformed, bool generated, const double *x, double *natural, void *rng,
                       char **error) {
  natural[0] = exp(x[0]);
  natural[1] = x[1];
  return 0;
}
int bs_log_density_gradient(const void *model, bool propto, bool jacobian, const double *x, double *value,
                            double *gradient, char **error) {
  const double square = exp(-2 * x[0]) * x[1] * x[1];
  if (propto || !jacobian) {
    *error = strdup("asked for the wrong density");
    return -1;
  }
  *value = -0.5 * x[0] * x[0] - 0.5 * square - x[0] - log_two_pi;
  gradient[0] = -x[0] + square - 1;
  gradient[1] = -exp(-2 * x[0]) * x[1];
  return 0;
}
int bs_log_density(const void *model, bool propto, bool jacobian, const double *x, double *value, char **error) {
  double gradient[2];
  return bs_log_density_gradient(model, propto, jacobian, x, value, gradient, error);
}
