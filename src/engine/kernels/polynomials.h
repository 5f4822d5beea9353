/* Polynomials of the vector maths, written by tools/fit-kernels (Chebyshev interpolants, computed with 70 digits). */
#ifndef TB_ENGINE_KERNELS_POLYNOMIALS_H
#define TB_ENGINE_KERNELS_POLYNOMIALS_H

#include "engine/kernels/real.h"

/* clang-format off */

#if TB_REAL_BITS == 32

#define TAIL_CENTRE REAL(3.5) /* a in s = (t - a)/(t + a) */

/* (exp(r) - 1 - r)/r^2, |r| <= log(2)/2; error relative to exp */
/* degree 4, error 1.0e-8 */
INLINE real exp_rest(real x) {
  real p = 1.392625083e-3f;
  p = fused(p, x, 8.363232884e-3f);
  p = fused(p, x, 4.166655421e-2f);
  p = fused(p, x, 1.666657667e-1f);
  p = fused(p, x, 5.000000000e-1f);
  return p;
}

INLINE vector exp_rest_vector(vector x) {
  vector p = spread(1.392625083e-3f);
  p = fused_vector(p, x, spread(8.363232884e-3f));
  p = fused_vector(p, x, spread(4.166655421e-2f));
  p = fused_vector(p, x, spread(1.666657667e-1f));
  p = fused_vector(p, x, spread(5.000000000e-1f));
  return p;
}

/* erf(x)/x - 1 of z = x^2, x <= 0.9; error relative to erf */
/* degree 5, error 1.3e-8 */
INLINE real erf_rest(real x) {
  real p = -6.102687037e-4f;
  p = fused(p, x, 5.014484151e-3f);
  p = fused(p, x, -2.678071913e-2f);
  p = fused(p, x, 1.128219409e-1f);
  p = fused(p, x, -3.761252880e-1f);
  p = fused(p, x, 1.283791547e-1f);
  return p;
}

/* (t + a) Phi(-t)/(sqrt(2 pi) phi(t)) of s = (t - a)/(t + a), t >= 0 */
/* degree 10, error 1.1e-8 */
INLINE real mills(real x) {
  real p = -4.976688935e-5f;
  p = fused(p, x, 3.463520082e-5f);
  p = fused(p, x, 4.526939197e-4f);
  p = fused(p, x, -4.177685982e-4f);
  p = fused(p, x, -3.178985901e-3f);
  p = fused(p, x, 6.465234077e-3f);
  p = fused(p, x, 1.740605873e-2f);
  p = fused(p, x, -1.160490454e-1f);
  p = fused(p, x, 3.154250580e-1f);
  p = fused(p, x, -5.655619087e-1f);
  p = fused(p, x, 7.444160754e-1f);
  return p;
}

INLINE vector mills_vector(vector x) {
  vector p = spread(-4.976688935e-5f);
  p = fused_vector(p, x, spread(3.463520082e-5f));
  p = fused_vector(p, x, spread(4.526939197e-4f));
  p = fused_vector(p, x, spread(-4.177685982e-4f));
  p = fused_vector(p, x, spread(-3.178985901e-3f));
  p = fused_vector(p, x, spread(6.465234077e-3f));
  p = fused_vector(p, x, spread(1.740605873e-2f));
  p = fused_vector(p, x, spread(-1.160490454e-1f));
  p = fused_vector(p, x, spread(3.154250580e-1f));
  p = fused_vector(p, x, spread(-5.655619087e-1f));
  p = fused_vector(p, x, spread(7.444160754e-1f));
  return p;
}

/* h (h - t), h = phi(t)/Phi(-t), of the same s */
/* degree 13, error 1.3e-8 */
INLINE real tail_slope(real x) {
  real p = -2.775842112e-4f;
  p = fused(p, x, 6.958525602e-6f);
  p = fused(p, x, 1.693441233e-3f);
  p = fused(p, x, -2.324488870e-4f);
  p = fused(p, x, -5.616649579e-3f);
  p = fused(p, x, 2.018015666e-3f);
  p = fused(p, x, 1.426995661e-2f);
  p = fused(p, x, -1.093478350e-2f);
  p = fused(p, x, -2.972510564e-2f);
  p = fused(p, x, 4.608658768e-2f);
  p = fused(p, x, 3.684024294e-2f);
  p = fused(p, x, -1.617014408e-1f);
  p = fused(p, x, 1.645058033e-1f);
  p = fused(p, x, 9.430669965e-1f);
  return p;
}

/* (t + a)^3 h'', of the same s */
/* degree 17, error 1.1e-8 */
INLINE real tail_bend(real x) {
  real p = -5.015555070e-3f;
  p = fused(p, x, -6.132862598e-3f);
  p = fused(p, x, 3.511585956e-2f);
  p = fused(p, x, 4.312518007e-2f);
  p = fused(p, x, -1.285363747e-1f);
  p = fused(p, x, -1.549007388e-1f);
  p = fused(p, x, 3.508067683e-1f);
  p = fused(p, x, 3.904182016e-1f);
  p = fused(p, x, -8.400779548e-1f);
  p = fused(p, x, -7.647141629e-1f);
  p = fused(p, x, 1.873330250f);
  p = fused(p, x, 1.100525619f);
  p = fused(p, x, -3.835599481f);
  p = fused(p, x, -6.251871457e-1f);
  p = fused(p, x, 6.662252797f);
  p = fused(p, x, -2.370251020f);
  p = fused(p, x, -7.785943173f);
  p = fused(p, x, 8.060783771f);
  return p;
}

#else

#define TAIL_CENTRE REAL(4.0) /* a in s = (t - a)/(t + a) */

/* (exp(r) - 1 - r)/r^2, |r| <= log(2)/2; error relative to exp */
/* degree 9, error 1.7e-17 */
INLINE real exp_rest(real x) {
  real p = 2.5100472505694996003e-8;
  p = fused(p, x, 2.7620201591031548792e-7);
  p = fused(p, x, 2.7557268276905696187e-6);
  p = fused(p, x, 2.4801521057868205199e-5);
  p = fused(p, x, 1.9841269863171556026e-4);
  p = fused(p, x, 1.3888888917367080562e-3);
  p = fused(p, x, 8.3333333333300381973e-3);
  p = fused(p, x, 4.1666666666623820532e-2);
  p = fused(p, x, 1.6666666666666667460e-1);
  p = fused(p, x, 5.0000000000000010314e-1);
  return p;
}

INLINE vector exp_rest_vector(vector x) {
  vector p = spread(2.5100472505694996003e-8);
  p = fused_vector(p, x, spread(2.7620201591031548792e-7));
  p = fused_vector(p, x, spread(2.7557268276905696187e-6));
  p = fused_vector(p, x, spread(2.4801521057868205199e-5));
  p = fused_vector(p, x, spread(1.9841269863171556026e-4));
  p = fused_vector(p, x, spread(1.3888888917367080562e-3));
  p = fused_vector(p, x, spread(8.3333333333300381973e-3));
  p = fused_vector(p, x, spread(4.1666666666623820532e-2));
  p = fused_vector(p, x, spread(1.6666666666666667460e-1));
  p = fused_vector(p, x, spread(5.0000000000000010314e-1));
  return p;
}

/* erf(x)/x - 1 of z = x^2, x <= 0.9; error relative to erf */
/* degree 10, error 4.4e-17 */
INLINE real erf_rest(real x) {
  real p = 1.0264742936451027515e-8;
  p = fused(p, x, -1.5547485573271174368e-7);
  p = fused(p, x, 1.6376005699281811079e-6);
  p = fused(p, x, -1.4919948045407384563e-5);
  p = fused(p, x, 1.2055088747916487211e-4);
  p = fused(p, x, -8.5483202790342819358e-4);
  p = fused(p, x, 5.2239775090424231589e-3);
  p = fused(p, x, -2.6866170633391350304e-2);
  p = fused(p, x, 1.1283791670894319908e-1);
  p = fused(p, x, -3.7612638903182522778e-1);
  p = fused(p, x, 1.2837916709551253275e-1);
  return p;
}

/* (t + a) Phi(-t)/(sqrt(2 pi) phi(t)) of s = (t - a)/(t + a), t >= 0 */
/* degree 23, error 1.3e-16 */
INLINE real mills(real x) {
  real p = -1.4936479509955029666e-10;
  p = fused(p, x, -1.6858481937278876045e-9);
  p = fused(p, x, -4.1774838524334273074e-10);
  p = fused(p, x, 1.6051942514282524999e-8);
  p = fused(p, x, 1.7419125179458913446e-8);
  p = fused(p, x, -7.8746944304708379850e-8);
  p = fused(p, x, -1.5916439391794902921e-7);
  p = fused(p, x, 2.6468456126470356967e-7);
  p = fused(p, x, 1.0242368988565402665e-6);
  p = fused(p, x, -6.2491416809006590173e-7);
  p = fused(p, x, -5.9212894221150284734e-6);
  p = fused(p, x, 7.1458025921931011788e-7);
  p = fused(p, x, 3.5144988131603436219e-5);
  p = fused(p, x, -1.9076685133202145664e-6);
  p = fused(p, x, -2.3109498674854846771e-4);
  p = fused(p, x, 1.3334420755153712511e-4);
  p = fused(p, x, 1.6308184627789688120e-3);
  p = fused(p, x, -3.4796923564507776730e-3);
  p = fused(p, x, -7.5401889669966230706e-3);
  p = fused(p, x, 6.0396574890348080056e-2);
  p = fused(p, x, -1.8652185795965177222e-1);
  p = fused(p, x, 3.8713740074222692185e-1);
  p = fused(p, x, -6.0789664197189212506e-1);
  p = fused(p, x, 7.5528513041575145016e-1);
  return p;
}

INLINE vector mills_vector(vector x) {
  vector p = spread(-1.4936479509955029666e-10);
  p = fused_vector(p, x, spread(-1.6858481937278876045e-9));
  p = fused_vector(p, x, spread(-4.1774838524334273074e-10));
  p = fused_vector(p, x, spread(1.6051942514282524999e-8));
  p = fused_vector(p, x, spread(1.7419125179458913446e-8));
  p = fused_vector(p, x, spread(-7.8746944304708379850e-8));
  p = fused_vector(p, x, spread(-1.5916439391794902921e-7));
  p = fused_vector(p, x, spread(2.6468456126470356967e-7));
  p = fused_vector(p, x, spread(1.0242368988565402665e-6));
  p = fused_vector(p, x, spread(-6.2491416809006590173e-7));
  p = fused_vector(p, x, spread(-5.9212894221150284734e-6));
  p = fused_vector(p, x, spread(7.1458025921931011788e-7));
  p = fused_vector(p, x, spread(3.5144988131603436219e-5));
  p = fused_vector(p, x, spread(-1.9076685133202145664e-6));
  p = fused_vector(p, x, spread(-2.3109498674854846771e-4));
  p = fused_vector(p, x, spread(1.3334420755153712511e-4));
  p = fused_vector(p, x, spread(1.6308184627789688120e-3));
  p = fused_vector(p, x, spread(-3.4796923564507776730e-3));
  p = fused_vector(p, x, spread(-7.5401889669966230706e-3));
  p = fused_vector(p, x, spread(6.0396574890348080056e-2));
  p = fused_vector(p, x, spread(-1.8652185795965177222e-1));
  p = fused_vector(p, x, spread(3.8713740074222692185e-1));
  p = fused_vector(p, x, spread(-6.0789664197189212506e-1));
  p = fused_vector(p, x, spread(7.5528513041575145016e-1));
  return p;
}

/* h (h - t), h = phi(t)/Phi(-t), of the same s */
/* degree 28, error 5.8e-17 */
INLINE real tail_slope(real x) {
  real p = 1.8666306968286073525e-8;
  p = fused(p, x, -2.9548172770133669687e-8);
  p = fused(p, x, -1.6999589423899115830e-7);
  p = fused(p, x, 3.4302772850259504589e-7);
  p = fused(p, x, 7.0743357158290198534e-7);
  p = fused(p, x, -2.0840106245533566150e-6);
  p = fused(p, x, -1.5321268669480057154e-6);
  p = fused(p, x, 9.0050758864077492077e-6);
  p = fused(p, x, -3.6990397895174996641e-7);
  p = fused(p, x, -3.1166321337463677216e-5);
  p = fused(p, x, 2.0410552013540759632e-5);
  p = fused(p, x, 8.9827932663559600081e-5);
  p = fused(p, x, -1.1623643166179471001e-4);
  p = fused(p, x, -2.1018817698540708495e-4);
  p = fused(p, x, 4.6468668910406727547e-4);
  p = fused(p, x, 3.4005897963474423340e-4);
  p = fused(p, x, -1.5039423762346907636e-3);
  p = fused(p, x, 1.3511395105883286308e-6);
  p = fused(p, x, 3.9924346660527393727e-3);
  p = fused(p, x, -2.7649234442063940453e-3);
  p = fused(p, x, -8.0646673216142931627e-3);
  p = fused(p, x, 1.3322028478252865167e-2);
  p = fused(p, x, 8.0782438427234391160e-3);
  p = fused(p, x, -3.9914595470366679618e-2);
  p = fused(p, x, 2.3472872237491503260e-2);
  p = fused(p, x, 6.7999771692958997472e-2);
  p = fused(p, x, -1.6135973134979960030e-1);
  p = fused(p, x, 1.4285071446126691483e-1);
  p = fused(p, x, 9.5332716160257736883e-1);
  return p;
}

/* (t + a)^3 h'', of the same s */
/* degree 34, error 3.3e-18 */
INLINE real tail_bend(real x) {
  real p = -1.1717769560428762914e-7;
  p = fused(p, x, -3.8829128099715407459e-7);
  p = fused(p, x, 1.5862993961031055493e-6);
  p = fused(p, x, 4.3054196501743704962e-6);
  p = fused(p, x, -1.1022255292046618800e-5);
  p = fused(p, x, -2.2833520890534944655e-5);
  p = fused(p, x, 5.3338656807135486023e-5);
  p = fused(p, x, 7.4715680976417577288e-5);
  p = fused(p, x, -2.0458694392896892242e-4);
  p = fused(p, x, -1.4571386527656375947e-4);
  p = fused(p, x, 6.6312663165491171999e-4);
  p = fused(p, x, -1.0538072529635301636e-6);
  p = fused(p, x, -1.8575064562723248816e-3);
  p = fused(p, x, 1.4677831666848037546e-3);
  p = fused(p, x, 4.4164007522127179910e-3);
  p = fused(p, x, -8.0098580477686696004e-3);
  p = fused(p, x, -8.1170683867141528560e-3);
  p = fused(p, x, 3.0047094683976061709e-2);
  p = fused(p, x, 6.8400517838786653151e-3);
  p = fused(p, x, -9.1043033117870576159e-2);
  p = fused(p, x, 2.7867865762537149445e-2);
  p = fused(p, x, 2.2970770297591665539e-1);
  p = fused(p, x, -1.8662102157514774074e-1);
  p = fused(p, x, -4.6956622285980382630e-1);
  p = fused(p, x, 6.8545597800222448194e-1);
  p = fused(p, x, 6.8450774412822496506e-1);
  p = fused(p, x, -1.8706497848835371553);
  p = fused(p, x, -2.7805423334839272211e-1);
  p = fused(p, x, 3.8510553881180919158);
  p = fused(p, x, -2.1172133451913886600);
  p = fused(p, x, -5.2192589789911873943);
  p = fused(p, x, 7.5534115706081485024);
  p = fused(p, x, 1.5443562777815433528);
  p = fused(p, x, -1.1511599887253337215e+1);
  p = fused(p, x, 9.1424457255211140958);
  return p;
}

#endif

#endif
