{#-
    Text without surrounding white space; blank text is missing. White space is what Unicode says it is, and the two invisible
    characters that files begin with or web pages leave behind (byte order mark, zero-width space). What is plain ASCII, as
    nearly all text is, takes the short list: that is several times faster.
-#}
{% macro clean_text(expression) -%}
    nullif(
        case
            when {{ is_ascii(expression) }} then trim({{ expression }}, {{ white_space('ascii') }})
            else trim({{ expression }}, {{ white_space('unicode') }})
        end,
        ''
    )
{%- endmacro %}

{% macro white_space(kind) -%}
    {%- set codes = [9, 10, 11, 12, 13, 32] -%}
    {%- if kind == 'unicode' -%}
        {%- set codes = codes + [133, 160, 5760] + range(8192, 8204) | list + [8232, 8233, 8239, 8287, 12288, 65279] -%}
    {%- endif -%}
    {%- for code in codes %}chr({{ code }}){{ ' || ' if not loop.last }}{% endfor -%}
{%- endmacro %}
