// Light on a face, as freeavatar/render/differentiable/shading.py has it: a change there is a change here.

const number = (value) => (Number.isInteger(value) ? `${value}.0` : String(value));
const defined = (constants) => Object.entries(constants).map(([name, value]) => {
  const text = Array.isArray(value) ? `vec${value.length}(${value.map(number).join(", ")})` : number(value);
  return `#define ${name} ${text}`;
}).join("\n");

const SKIN = `
#include <common>
#include <skinning_pars_vertex>
`;
const POSE = `
  #include <beginnormal_vertex>
  #include <skinbase_vertex>
  #include <skinnormal_vertex>
  #include <begin_vertex>
  #include <skinning_vertex>
  vec4 world = modelMatrix * vec4(transformed, 1.0);
`;

export const VERTEX = `
attribute vec3 strand;
varying vec3 vPosition, vNormal, vColor, vStrand;
varying vec2 vUv;
${SKIN}
void main() {
  ${POSE}
  vec3 along = strand;
  #ifdef USE_SKINNING
    along = (skinMatrix * vec4(along, 0.0)).xyz;
  #endif
  vPosition = world.xyz;
  vNormal = mat3(modelMatrix) * objectNormal;
  vStrand = mat3(modelMatrix) * along;
  vColor = vec3(1.0);
  #if defined(USE_COLOR) || defined(USE_COLOR_ALPHA)
    vColor = color.rgb;
  #endif
  vUv = uv;
  gl_Position = projectionMatrix * viewMatrix * world;
}`;

export const SHADOW_VERTEX = `
uniform mat4 toKey;
varying float vDepth;
${SKIN}
void main() {
  ${POSE}
  gl_Position = toKey * world;
  vDepth = gl_Position.z;
}`;

export const SHADOW_FRAGMENT = `
varying float vDepth;
void main() { gl_FragColor = vec4(vDepth, vDepth * vDepth, 0.0, 1.0); }`;

export const BLUR_VERTEX = "void main() { gl_Position = vec4(position.xy, 0.0, 1.0); }";

export const blurFragment = (kernel) => `
uniform sampler2D map;
uniform ivec2 way;
void main() {
  ivec2 here = ivec2(gl_FragCoord.xy), last = textureSize(map, 0) - 1;
  vec2 total = vec2(0.0);
  ${kernel.map((share, k) => `total += ${number(share)} * texelFetch(map, clamp(here + ${k - (kernel.length >> 1)} * way, ivec2(0), last), 0).xy;`).join("\n  ")}
  gl_FragColor = vec4(total, 0.0, 1.0);
}`;

// The fragment shader of a kind of material, under so many lights and with so many wrinkle layers; it has holes where its
// texture is clear.
export const fragment = (constants, { lights, layers, isEye, isHair, hasTexture, hasHoles }) => `
${defined(constants)}
${Object.entries({ IS_EYE: isEye, IS_HAIR: isHair, HAS_TEXTURE: hasTexture, HAS_HOLES: hasHoles })
    .filter(([, is]) => is).map(([name]) => `#define ${name}`).join("\n")}
#define LIGHTS ${lights}
#define LAYERS ${layers}
varying vec3 vPosition, vNormal, vColor, vStrand;
varying vec2 vUv;
uniform vec3 eye, lightDirections[LIGHTS], lightColors[LIGHTS], sky, ground, baseColor, wrap;
uniform vec4 lobes;  // gain and alpha of the broad lobe, then of the tight one
uniform float rimGain, bleed, fill, shadowStrength, leastAlpha;
uniform sampler2D map, moments;
uniform mat4 toKey;
#if LAYERS > 0
  uniform sampler2D relief;
  uniform vec4 boxes[LAYERS];
  uniform vec3 amounts[LAYERS];  // of each layer, in the channel of the relief that holds it
  uniform float depth;
  uniform bool isFolded;
#endif

float smooth01(float x) { x = clamp(x, 0.0, 1.0); return x * x * (3.0 - 2.0 * x); }

float keyLight() {
  vec3 place = (toKey * vec4(vPosition, 1.0)).xyz;
  ivec2 last = textureSize(moments, 0) - 1;
  vec2 at = (0.5 * place.xy + 0.5) * vec2(last + 1) - 0.5, part = fract(at);
  ivec2 low = clamp(ivec2(floor(at)), ivec2(0), last), high = clamp(ivec2(floor(at)) + 1, ivec2(0), last);
  vec2 found = mix(
    mix(texelFetch(moments, low, 0).xy, texelFetch(moments, ivec2(high.x, low.y), 0).xy, part.x),
    mix(texelFetch(moments, ivec2(low.x, high.y), 0).xy, texelFetch(moments, high, 0).xy, part.x), part.y);
  float behind = max(place.z - BIAS - found.x, 0.0), variance = max(found.y - found.x * found.x, LEAST_VARIANCE);
  float lit = clamp((variance / (variance + behind * behind) - BLEEDING) / (1.0 - BLEEDING), 0.0, 1.0);
  return 1.0 - shadowStrength * (1.0 - lit);
}

#if LAYERS > 0
float height(vec2 at, vec3 amount) {
  return dot(texture2D(relief, at).rgb * 255.0 - 128.0, amount) * depth / 127.0;
}

// Tilts the normal along the slope of the relief, and darkens its furrows.
void fold(inout vec3 normal, inout vec3 albedo, vec3 across, vec3 down, vec2 uvAcross, vec2 uvDown) {
  vec3 amount = vec3(0.0);
  for (int k = 0; k < LAYERS; k++) {
    vec4 box = boxes[k];
    if (all(greaterThanEqual(vUv, box.xy)) && all(lessThanEqual(vUv, box.zw))) amount += amounts[k];
  }
  if (amount == vec3(0.0)) return;
  vec2 texel = 1.0 / vec2(textureSize(relief, 0));
  float h[9];
  for (int k = 0; k < 9; k++) h[k] = height(vUv + texel * vec2(k % 3 - 1, k / 3 - 1), amount);
  vec2 slope = vec2(h[2] + 2.0 * h[5] + h[8] - h[0] - 2.0 * h[3] - h[6],
    h[6] + 2.0 * h[7] + h[8] - h[0] - 2.0 * h[1] - h[2]) / (8.0 * texel);
  float middle = (h[0] + h[2] + h[6] + h[8] + 2.0 * (h[1] + h[3] + h[5] + h[7]) + 4.0 * h[4]) / 16.0;
  vec3 unit = normalize(normal), first = cross(down, unit), second = cross(unit, across);
  float area = dot(across, first);
  if (abs(area) > 1e-16) normal = unit - (dot(slope, uvAcross) * first + dot(slope, uvDown) * second) / area;
  albedo *= 1.0 - clamp(-middle / CAVITY_DEPTH, 0.0, 1.0) * CAVITY_COLOR;
}
#endif

void main() {
  vec3 albedo = baseColor * vColor;
  vec3 across = dFdx(vPosition), down = dFdy(vPosition);
  vec2 uvAcross = dFdx(vUv), uvDown = dFdy(vUv);
  vec4 texel = vec4(1.0);
  #ifdef HAS_TEXTURE
    texel = texture2D(map, vUv);
  #endif
  #ifdef HAS_HOLES
    if (texel.a < leastAlpha) discard;
  #endif
  vec3 toEye = normalize(eye - vPosition), normal = vNormal;
  #if LAYERS > 0
    if (isFolded) fold(normal, albedo, across, down, uvAcross, uvDown);
  #endif
  normal = normalize(normal);
  float facing = dot(normal, toEye);
  normal = facing < BACK ? -normal : normalize(normal - min(facing, 0.0) * toEye);
  facing = clamp(dot(normal, toEye), 0.0, 1.0);
  float grazing = (1.0 - facing) * (1.0 - facing);
  float key = keyLight(), filled = key + fill * (1.0 - key);
  float up = 0.5 + 0.5 * normal.y, fresnel = FRESNEL.x + FRESNEL.y * grazing * grazing * (1.0 - facing);
  #ifdef IS_EYE
    albedo *= 1.0 - LID_SHADOW.z * smooth01((normal.y - LID_SHADOW.x) / (LID_SHADOW.y - LID_SHADOW.x));
  #endif
  albedo *= texel.rgb;
  vec3 diffuse = mix(ground, sky, up), sheen = vec3(0.0);
  vec3 specular = rimGain * up * grazing * (1.0 - facing) * sky;
  for (int k = 0; k < LIGHTS; k++) {
    vec3 direction = lightDirections[k], color = lightColors[k];
    float cosine = dot(normal, direction), arriving = k == 0 ? filled : 1.0;
    vec3 reach = max((cosine + wrap) / (1.0 + wrap), 0.0), lit = color * reach * (0.8 + 0.2 * reach);
    diffuse += k == 0 ? lit * (filled + bleed * BLEED_COLOR * filled * (1.0 - filled)) : lit;
    float along = max(dot(toEye, direction), -0.98), apart = sqrt(2.0 + 2.0 * along);
    float square = clamp((facing + cosine) / apart, 0.0, 1.0);
    square *= square;
    float broad = square * (lobes.y - 1.0) + 1.0, tight = square * (lobes.w - 1.0) + 1.0;
    float lobe = lobes.x * lobes.y / (broad * broad) + lobes.z * lobes.w / (tight * tight);
    lobe = min(lobe / max((1.0 + along) / 2.0, 0.1), BRIGHTEST_LOBE);
    specular += color * (lobe * fresnel * max(cosine, 0.0) * arriving);
    #ifdef IS_HAIR
      float strand = (dot(vStrand, toEye) + dot(vStrand, direction)) / apart, beside = (facing + cosine) / apart;
      vec2 x = strand + HAIR_SHIFTS * beside;
      vec2 hair = 1.0 + HAIR_SHARPNESS * x * x;
      hair *= hair;
      hair = 1.0 / (hair * hair);
      float caught = max(0.3 + 0.7 * cosine, 0.0) * (k == 0 ? filled : 1.0);
      sheen += color * caught * (hair.x * (HAIR_GAINS.x + HAIR_GAINS.y * albedo) + HAIR_GAINS.z * hair.y * albedo);
    #endif
  }
  vec3 radiance = albedo * diffuse * DIFFUSE + specular + sheen * dot(vStrand, vStrand);
  #ifdef IS_EYE
    float mirrored = 0.5 + 0.5 * (2.0 * facing * normal.y - toEye.y);
    vec3 seen = fresnel * mix(ground, sky, mirrored);
    vec3 side = vec3(toEye.z, 0.0, -toEye.x) * inversesqrt(max(dot(toEye.xz, toEye.xz), 1e-6));
    vec3 away = normal - normalize(lightDirections[0] + CATCHLIGHT_BEND * toEye);
    float box = smooth01((CATCHLIGHT.x - abs(dot(away, side))) / CATCHLIGHT.z + 0.5)
      * smooth01((CATCHLIGHT.y - abs(dot(away, cross(toEye, side)))) / CATCHLIGHT.z + 0.5);
    radiance += seen + lightColors[0] * (CATCHLIGHT_GAIN * box * (0.3 + 0.7 * filled));
  #endif
  vec3 x = max(radiance, 0.0) * 0.72;
  x = x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14);
  gl_FragColor = vec4(pow(clamp(x, 0.0, 1.0), vec3(1.0 / 2.2)), 1.0);
}`;
