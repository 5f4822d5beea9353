/* A mixture as a file that hmm_read.c reads back to the same bits. */
#include "hmm.h"

#include "io/json.h"

/* A law for each state, or the one token that each state emits. */
static json_t *emission(tb_context *context, const tb_hmm *m, const tb_hmm_component *c) {
  double *full = tb_allocate(context, c->states * m->n_tokens, sizeof *full);
  json_t *json = NULL;
  for (size_t y = 0; full && y < m->n_tokens; y++)
    for (uint32_t e = c->first[y]; e < c->first[y + 1]; e++)
      full[c->emitter[e] * m->n_tokens + y] = c->emission[e];
  if (full && !c->deterministic)
    json = tb_json_matrix(c->states, m->n_tokens, full);
  else if (full)
    json = json_array();
  for (size_t j = 0; json && c->deterministic && j < c->states; j++)
    for (size_t y = 0; y < m->n_tokens; y++)
      if (full[j * m->n_tokens + y] > 0)
        json_array_append_new(json, json_integer((json_int_t)y));
  tb_release(context, full);
  return json;
}

tb_status tb_hmm_write(tb_context *context, const tb_hmm *m, const char *path) {
  json_t *root = json_object(), *tokens = json_array(), *components = json_array();
  int bad = !root || !tokens || !components;
  for (size_t y = 0; !bad && y < m->n_tokens; y++)
    bad = json_array_append_new(tokens, json_string(m->tokens[y]));
  for (size_t k = 0; !bad && k < m->n_components; k++) {
    const tb_hmm_component *c = &m->components[k];
    json_t *component = json_object();
    bad = !component || json_object_set_new(component, "weight", tb_json_real(c->weight)) ||
          json_object_set_new(component, "start", tb_json_reals(c->states, c->start)) ||
          json_object_set_new(component, "transition", tb_json_matrix(c->states, c->states, c->transition)) ||
          json_object_set_new(component, "emission", emission(context, m, c));
    bad = json_array_append_new(components, component) || bad;
  }
  bad = bad || json_object_set(root, "tokens", tokens) ||
        json_object_set_new(root, "delimiter", json_string(m->tokens[m->delimiter])) ||
        json_object_set(root, "components", components);
  char *line = bad ? NULL : tb_json_line(context, root);
  tb_text text = tb_text_new(context);
  if (line) {
    tb_text_add(&text, line);
    tb_text_add(&text, "\n");
  }
  tb_status status =
      !line ? tb_fail(context, TB_NO_MEMORY, NULL, NULL, "out of memory: writing '%s'", path) : tb_text_finish(&text);
  if (!status)
    status = tb_file_write(context, path, text.data, text.length);
  tb_text_free(&text);
  tb_release(context, line);
  json_decref(root);
  json_decref(tokens);
  json_decref(components);
  return status;
}
