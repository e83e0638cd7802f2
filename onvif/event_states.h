#pragma once

#include "onvif/event_topics.h"

/*
 * How everything is that the event service tells of: motion at cameras, whether they are there and recorded, whether the store is. It hears
 * notices of events, and looks at the rest each second while somebody wants to know.
 */

/* told is valid during the call. */
typedef void event_states_fn(const struct event_told *told);
/* Everything that changes is told from now on. */
void event_states_start(event_states_fn *tell);
void event_states_stop(void); /* fine when not started */
/* Whether somebody wants to know: then all states are up to date now, and followed. */
void event_states_want(bool is_wanted);
/* Whether it is so at a camera, of whichever rule. */
bool event_states_is_on(enum event_topic topic, const char *camera);
/* Tells of each state as it is, as EVENT_OPERATION_INITIALIZED. */
typedef void event_states_each_fn(void *arg, const struct event_told *told);
void event_states_each(event_states_each_fn *tell, void *arg);
