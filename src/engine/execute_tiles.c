/* Tiles of rows, by one or several threads.
 *
 * Threads take whole groups, in any order.  A group's first tile writes its sums over rows where the group keeps them,
 * the others add theirs; then every element adds up the groups' sums in one fixed tree.  Tiles within a tile (rows of
 * each replica) are shared out alike: threads that find no more tiles take groups of those that others are in.  Of
 * failures the one of the lowest tile counts, as if there were one thread. */
#include "engine/plan.h"

#include <omp.h>
#include <string.h>

typedef struct worker {
  char *memory;
  tb_frame frame;
  size_t failed; /* the tile at which it stopped */
} worker;

static size_t aligned(size_t bytes) {
  return (bytes + 63) / 64 * 64;
}

static char *group_sum(const tb_tile_result *r, const tb_frame *frame, size_t group) {
  return group == 0 ? tb_at(frame, r->at) : (char *)tb_at(frame, r->groups) + (group - 1) * aligned(r->bytes);
}

/* Where a tile writes a result. */
static char *destination(const tb_tile_result *r, const tb_frame *frame, char *memory, size_t row, size_t group,
                         bool first) {
  if (r->kind == TB_TILING_ROWS && r->outer == 1)
    return (char *)tb_at(frame, r->at) + row * r->row;
  if (r->kind == TB_TILING_SUM && first)
    return group_sum(r, frame, group);
  if (r->kind == TB_TILING_SAME && row == 0)
    return tb_at(frame, r->at);
  return memory + r->part;
}

/* What could not be written in place: rows in several pieces, and sums. */
static void put_away(const tb_tiles *t, const tb_tile_result *r, const tb_frame *frame, const char *memory, size_t row,
                     size_t rows, size_t group, bool first) {
  const char *part = memory + r->part;
  if (r->kind == TB_TILING_ROWS && r->outer > 1) {
    char *at = (char *)tb_at(frame, r->at) + row * r->row;
    for (size_t o = 0; o < r->outer; o++)
      memcpy(at + o * t->rows * r->row, part + o * rows * r->row, rows * r->row);
  } else if (r->kind == TB_TILING_SUM && !first) {
    char *sum = group_sum(r, frame, group);
    r->add(1, r->count, sum, 0, sum, 0, part, 0);
  }
}

static void run_tile(const tb_tiles *t, const tb_frame *frame, worker *w, size_t tile, size_t group, bool first) {
  const bool full = tile < t->full;
  const tb_plan *body = t->body[!full];
  const size_t rows = t->tile - !full, row = tile * rows + (full ? 0 : t->full);
  char **bases = w->frame.bases, **in = bases + TB_BASE_FIRST + 1, **out = in + t->operand_count;
  *(int32_t *)w->memory = (int32_t)row;
  bases[TB_BASE_ARENA] = w->memory + t->arena_at;
  bases[TB_BASE_CONSTANTS] = body->constants;
  bases[TB_BASE_FIRST] = w->memory;
  for (uint32_t k = 0; k < t->operand_count; k++)
    in[k] = (char *)tb_at(frame, t->operands[k].at) + row * t->operands[k].row;
  for (uint32_t k = 0; k < t->result_count; k++)
    out[k] = destination(&t->results[k], frame, w->memory, row, group, first);
  tb_plan_execute(body, &w->frame);
  for (uint32_t k = 0; k < t->result_count; k++)
    put_away(t, &t->results[k], frame, w->memory, row, rows, group, first);
}

static void run_group(const tb_tiles *t, const tb_frame *frame, worker *w, size_t group) {
  const size_t begin = group * t->tiles / t->groups, end = (group + 1) * t->tiles / t->groups;
  for (size_t tile = begin; tile < end && w->frame.status == TB_OK; tile++) {
    run_tile(t, frame, w, tile, group, tile == begin);
    w->failed = tile;
  }
}

/* The share of one of `threads` in adding up the groups' sums. */
static void add_groups(const tb_tiles *t, const tb_frame *frame, size_t thread, size_t threads) {
  for (uint32_t k = 0; k < t->result_count; k++) {
    const tb_tile_result *r = &t->results[k];
    if (r->kind != TB_TILING_SUM)
      continue;
    const size_t begin = thread * r->count / threads, count = (thread + 1) * r->count / threads - begin;
    for (size_t apart = 1; apart < t->groups && count; apart *= 2)
      for (size_t g = 0; g + apart < t->groups; g += 2 * apart) {
        char *sum = group_sum(r, frame, g) + begin * r->element;
        r->add(1, count, sum, 0, sum, 0, group_sum(r, frame, g + apart) + begin * r->element, 0);
      }
  }
}

static worker worker_at(const tb_tiles *t, char *memory, tb_context *context) {
  return (worker){ .memory = memory,
                   .frame = { .context = context, .bases = (char **)(memory + t->bases_at), .status = TB_OK } };
}

static void run_alone(const tb_tiles *t, tb_frame *frame) {
  worker w = worker_at(t, tb_at(frame, t->memory), frame->context);
  for (size_t g = 0; g < t->groups; g++)
    run_group(t, frame, &w, g);
  add_groups(t, frame, 0, 1);
  frame->status = frame->status == TB_OK ? w.frame.status : frame->status;
}

static void run_together(const tb_tiles *t, tb_frame *frame) {
  size_t failed = t->tiles;
  const tb_frame *shared = frame;
  tb_frame stopped = { .status = TB_OK };
  const tb_team team = { .memory = tb_at(frame, t->memory), .bytes = t->worker_bytes };
#pragma omp parallel num_threads(t->threads)
  {
    const uint32_t thread = (uint32_t)omp_get_thread_num(), threads = (uint32_t)omp_get_num_threads();
    worker w = worker_at(t, team.memory + thread * team.bytes, shared->workers[thread]);
    w.frame.team = &team;
    w.frame.member = thread;
    w.frame.helpers = shared->helpers;
#pragma omp for schedule(dynamic, 1)
    for (size_t g = 0; g < t->groups; g++)
      run_group(t, shared, &w, g); /* whoever waits at the end takes tasks of those who are not there yet */
    add_groups(t, shared, thread, threads);
#pragma omp critical(tiles_failed)
    if (w.frame.status != TB_OK && w.failed < failed) {
      failed = w.failed;
      stopped = w.frame;
    }
  }
  if (stopped.status != TB_OK && frame->status == TB_OK)
    frame->status = tb_fail(frame->context, stopped.status, tb_context_place(stopped.context),
                            tb_context_hint(stopped.context), "%s", tb_context_message(stopped.context));
}

/* A group of tiles within a tile, by whichever thread is free: in its own memory, where it would have the inner tiles
 * of its own. */
static void run_task(const tb_tiles *t, const tb_frame *frame, size_t group, size_t *failed) {
  const tb_team *team = frame->team;
  const size_t thread = (size_t)omp_get_thread_num();
  const size_t offset = (size_t)((char *)tb_at(frame, t->memory) - (team->memory + frame->member * team->bytes));
  worker w = worker_at(t, team->memory + thread * team->bytes + offset, frame->helpers[thread]);
  run_group(t, frame, &w, group);
  if (w.frame.status != TB_OK) {
#pragma omp critical(tiles_failed)
    *failed = group < *failed ? group : *failed;
  }
}

/* The first group that failed runs once more, so that its message is this frame's. */
static void run_within(const tb_tiles *t, tb_frame *frame) {
  size_t failed = t->groups;
  const tb_frame *shared = frame;
  for (size_t g = 0; g < t->groups; g++) {
#pragma omp task default(none) firstprivate(t, shared, g) shared(failed)
    run_task(t, shared, g, &failed);
  }
#pragma omp taskwait
  if (failed < t->groups) {
    worker w = worker_at(t, tb_at(frame, t->memory), frame->context);
    run_group(t, frame, &w, failed);
    frame->status = frame->status == TB_OK ? w.frame.status : frame->status;
  }
  add_groups(t, frame, 0, 1);
}

void tb_run_tiles(const tb_instruction *instruction, tb_frame *frame) {
  const tb_tiles *t = instruction->detail;
  if (t->threads > 1)
    run_together(t, frame);
  else if (frame->team && t->groups > 1)
    run_within(t, frame);
  else
    run_alone(t, frame);
}
