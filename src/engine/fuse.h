/* The inside of fusion: a pointwise group on its way to one program of steps (see fuse.c).
 *
 * fuse.c finds the iteration space, gives lanes and addresses them; fuse_adam.c and fuse_steps.c write the steps. */
#ifndef TB_ENGINE_FUSE_H
#define TB_ENGINE_FUSE_H

#include "engine/plan.h"

enum { TB_NO_LANE = UINT16_MAX };

typedef struct tb_fused { /* a node's value as this group sees it */
  uint32_t node;
  uint16_t lane;
  uint16_t reads;    /* by steps to come: of a temporary, until its block is free */
  uint32_t inside;   /* readers in the group */
  bool member, done; /* computed here; computed already */
  bool scalar;       /* of its row */
} tb_fused;

typedef struct tb_fuser {
  tb_planner *p;
  const tb_unit *unit;
  const tb_kernels *kernels;
  size_t element;
  tb_fused *values;
  uint32_t value_count;
  uint32_t *slot; /* [nodes]: value of a node + 1; shared between groups, cleared after each */
  /* iteration space */
  uint32_t rank;
  size_t dims[TB_MAX_RANK];
  tb_view *views; /* [values]: strides along the merged axes */
  tb_pointwise *program;
  tb_lane *lanes;
  tb_step *steps;
  uint16_t free_lanes[64]; /* temporaries free again */
  uint32_t free_count;
  uint16_t *last_read, *stored; /* [lanes]: steps + 1 */
} tb_fuser;

static inline const tb_node *tb_fuser_node(const tb_fuser *f, uint32_t index) {
  return f->p->graph->nodes[index];
}

static inline tb_fused *tb_fuser_value(tb_fuser *f, uint32_t node) {
  return &f->values[f->slot[node] - 1];
}

/* Whether the value is read outside the group, too. */
static inline bool tb_fuser_leaves(const tb_fuser *f, const tb_fused *v) {
  return f->p->is_output[v->node] || v->inside < f->p->uses[v->node];
}

/* fuse.c: lanes.  A new one; a temporary (an old block where one is free); that of an operand; that of a result. */
uint16_t tb_fuse_lane(tb_fuser *);
uint16_t tb_fuse_temporary(tb_fuser *);
uint16_t tb_fuse_operand(tb_fuser *, tb_fused *);
uint16_t tb_fuse_destination(tb_fuser *, tb_fused *);
/* One read less to come; gives the block of a temporary back after the last. */
void tb_fuse_release(tb_fuser *, tb_fused *);
void tb_fuse_give_back(tb_fuser *, uint16_t lane); /* TB_NO_LANE: nothing to do */

/* fuse_steps.c: a step, and whether its rows run on as one; what all members that are not done yet compute. */
void tb_fuse_step(tb_fuser *, tb_step, bool a_scalar, bool b_scalar);
bool tb_fuse_runs_on(const tb_fuser *, uint16_t lane, bool scalar);
tb_status tb_fuse_members(tb_fuser *);

/* fuse_adam.c: updates by Adam become a step each. */
tb_status tb_fuse_adam(tb_fuser *);

#endif
