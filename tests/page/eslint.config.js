// Mistakes in the page's sources, not their layout: no rule here is about spaces and line breaks.

import css from '@eslint/css';
import js from '@eslint/js';
import globals from 'globals';

const rules = {
  ...js.configs.recommended.rules,
  'array-callback-return': 'error',
  'consistent-return': 'error',
  'default-case-last': 'error',
  // `== null` asks for null and undefined.
  eqeqeq: ['error', 'always', { null: 'ignore' }],
  'no-constructor-return': 'error',
  'no-else-return': 'error',
  'no-eval': 'error',
  'no-extend-native': 'error',
  'no-implicit-coercion': 'error',
  'no-implied-eval': 'error',
  'no-lonely-if': 'error',
  'no-promise-executor-return': 'error',
  'no-self-compare': 'error',
  'no-template-curly-in-string': 'error',
  'no-throw-literal': 'error',
  'no-unneeded-ternary': 'error',
  'no-unmodified-loop-condition': 'error',
  'no-unreachable-loop': 'error',
  'no-unused-expressions': 'error',
  'no-useless-concat': 'error',
  'no-useless-rename': 'error',
  'no-useless-return': 'error',
  'no-var': 'error',
  'object-shorthand': 'error',
  'prefer-const': 'error',
  'prefer-object-spread': 'error',
  'prefer-rest-params': 'error',
  'prefer-template': 'error',
  radix: 'error',
  yoda: 'error',
};

const cssRules = {
  ...css.configs.recommended.rules,
  // The colours are variables of style.css, which every page has.
  'css/no-invalid-properties': ['error', { allowUnknownVariables: true }],
  // `hidden` and "no animations" win over whatever is said elsewhere.
  'css/no-important': 'off',
  // A browser without these shows the same page with its own scrollbars, line ends and colours.
  'css/use-baseline': [
    'error',
    {
      available: 'widely',
      allowProperties: [
        'accent-color',
        'forced-color-adjust',
        'paint-order',
        'scrollbar-color',
        'scrollbar-width',
        'text-wrap',
      ],
      allowSelectors: ['fullscreen'],
    },
  ],
};

export default [
  { ignores: ['**/node_modules/'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  { files: ['html/**/*.js'], languageOptions: { globals: globals.browser }, rules: { ...rules, 'no-shadow': 'error' } },
  { files: ['tests/page/**/*.{js,mjs}'], languageOptions: { globals: globals.node }, rules },
  { files: ['html/**/*.css'], language: 'css/css', plugins: { css }, rules: cssRules },
];
