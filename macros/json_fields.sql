{#-
    A query for a relation with fields of its JSON documents beside its columns, as text, and `is_json_object`. `fields` maps a
    column to the path of its value, the outermost key first. The document is parsed once.

    What engines see differently is settled here:
    - only a strict JSON object counts (RFC 8259: no NaN, no comma at the end), whose text every engine can hold (no NUL, no
      half of a surrogate pair), in which no object has a key twice (engines take the first or the last), and with at most 2,000
      brackets when it is longer than 4,000 bytes (an engine's parser may run out of stack otherwise). Anything else: all fields null.
    - a number is the text that was sent (12.50, 1e5), however large;
    - an object or an array where text is expected gives its opening bracket, which no field takes;
    - JSON null and an absent key give null.
-#}
{% macro json_fields(relation, document, fields) -%}
    {{ adapter.dispatch('json_fields')(relation, document, fields) }}
{%- endmacro %}
