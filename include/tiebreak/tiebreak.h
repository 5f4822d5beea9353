/* tiebreak/tiebreak.h: everything public. */
#ifndef TIEBREAK_TIEBREAK_H
#define TIEBREAK_TIEBREAK_H

#include <tiebreak/base.h>
#include <tiebreak/catalogue.h>
#include <tiebreak/graph.h>
#include <tiebreak/language.h>
#include <tiebreak/machine.h>
#include <tiebreak/metrics.h>
#include <tiebreak/options.h>
#include <tiebreak/random.h>
#include <tiebreak/report.h>
#include <tiebreak/run.h>
#include <tiebreak/statistics.h>
#include <tiebreak/study.h>

#define TB_VERSION "0.1.0"

#endif
